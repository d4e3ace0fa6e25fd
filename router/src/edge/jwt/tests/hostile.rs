//! Tokens that must not be taken (`threats.md` D-02 to D-04; D-01 is in `signatures`), against an Issuer that takes the good ones.

mod signatures;

use super::*;

const HEADER: &str = r#"{"alg":"ES256","kid":"p256"}"#;

struct Bench {
    mint: Mint,
    verifier: Verifier,
    rows: usize,
}

impl Bench {
    fn new() -> Self {
        let mint = Mint::new();
        let verifier = verifier(Stopped::new(), &[issuer("corp", "default", ISS, json!({ "jwks": mint.jwks() }))]);
        let good = mint.good(json!({}));
        assert!(shown(&verifier, "default", &good).is_ok(), "a token with nothing wrong is taken");
        Self { mint, verifier, rows: 0 }
    }

    fn refuse_as(&mut self, expect: Reason, what: &str, token: &[u8]) {
        // Twice: what was refused once must not be remembered as anything else.
        for _ in 0..2 {
            let found = shown(&self.verifier, "default", token);
            assert_eq!(found.as_ref().err(), Some(&expect), "{what}: {found:?}");
        }
        self.rows += 1;
    }

    fn refuse(&mut self, what: &str, token: &[u8]) {
        self.refuse_as(Reason::AuthnInvalid, what, token);
    }

    /// A token of this header, rightly signed.
    fn header(&mut self, header: &str) {
        let token = self.mint.token("ES256", header, claims(json!({})).to_string());
        self.refuse(header, &token);
    }

    /// A token of these claims, rightly signed.
    fn claims(&mut self, claims: impl AsRef<[u8]>) {
        let token = self.mint.token("ES256", HEADER, &claims);
        self.refuse(&String::from_utf8_lossy(claims.as_ref()), &token);
    }

    /// A good token's first two parts with this for a signature.
    fn signature(&mut self, what: &str, header: &str, signature: &[u8]) {
        let token = format!("{}.{}.{}", encode(header), encode(claims(json!({})).to_string()), encode(signature));
        self.refuse(what, token.as_bytes());
    }

    fn done(self, least: usize) {
        println!("{} tokens refused", self.rows);
        assert!(self.rows >= least, "{} tokens", self.rows);
    }
}

fn signed(header: &str) -> String {
    format!("{}.{}", encode(header), encode(claims(json!({})).to_string()))
}

/// D-02: a key id is a name and nothing else; what a header points to is not looked at.
#[test]
fn a_header_cannot_bring_its_key() {
    let mut bench = Bench::new();
    let long = "k".repeat(257);
    let longer = "k".repeat(4_000);
    for kid in [
        "",
        "P256",
        " p256",
        "p256 ",
        "p256\0",
        "p256/",
        "../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "p256' UNION SELECT 'x",
        "https://evil.example/jwks",
        "p256,rsa",
        "*",
        "%00",
        "keys[1]",
        "\u{ff50}256",
        "p\u{200b}256",
        &long,
        &longer,
    ] {
        bench.header(&json!({ "alg": "ES256", "kid": kid }).to_string());
    }
    for kid in [json!(1), json!(null), json!(["p256"]), json!({ "p256": 1 }), json!(true)] {
        bench.header(&json!({ "alg": "ES256", "kid": kid }).to_string());
    }
    bench.header(r#"{"alg":"ES256"}"#);
    for more in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":"exp""#,
        r#""crit":null"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":["urn:unknown"],"urn:unknown":1"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""enc":"A256GCM""#,
        r#""zip":"DEF""#,
        r#""cty":"JWT""#,
        r#""typ":"logout+jwt""#,
        r#""typ":"secevent+jwt""#,
        r#""typ":"dpop+jwt""#,
        r#""typ":"application/logout+jwt""#,
        r#""typ":"""#,
        r#""typ":1"#,
        r#""typ":null"#,
    ] {
        bench.header(&format!(r#"{{"alg":"ES256","kid":"p256",{more}}}"#));
    }
    // A stranger's key, brought along in every way there is.
    let stranger = Mint::new();
    let jwk = stranger.jwks()["keys"][1].clone();
    for more in
        [json!({}), json!({ "jwk": jwk }), json!({ "jku": "https://evil.example/jwks" }), json!({ "x5c": ["MIIB"] })]
    {
        let mut header = json!({ "alg": "ES256", "kid": "p256" });
        header.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let token = stranger.token("ES256", &header.to_string(), claims(json!({})).to_string());
        bench.refuse(&format!("a stranger's {header}"), &token);
    }
    bench.done(47);
}

/// D-03: times are numbers, and there is one.
#[test]
fn times_that_are_none_or_past() {
    let mut bench = Bench::new();
    for (what, changes) in [
        ("61 s", json!({ "exp": NOW - 61 })),
        ("60 s", json!({ "exp": NOW - 60 })),
        ("long ago", json!({ "exp": 0 })),
        ("fraction", json!({ "exp": 0.9 })),
    ] {
        let token = bench.mint.good(changes);
        bench.refuse_as(Reason::AuthnExpired, what, &token);
    }
    let later = NOW + 600;
    for value in [
        format!("\"{later}\""),
        "\"\"".into(),
        "null".into(),
        "true".into(),
        "[]".into(),
        format!("[{later}]"),
        "{}".into(),
        "-1".into(),
        "-1.5".into(),
        "-0.1".into(),
        "1e308".into(),
        "1e19".into(),
        "18446744073709551615".into(),
        "253402300800".into(),
        "\"9999-12-31T00:00:00Z\"".into(),
        "\"Infinity\"".into(),
    ] {
        for name in ["exp", "nbf", "iat"] {
            let mut text = claims(json!({ name: null, "role": "x" })).to_string();
            text.insert_str(1, &format!(r#""{name}":{value},"#));
            bench.claims(text);
        }
    }
    bench.claims(claims(json!({ "exp": null })).to_string());
    bench.claims(claims(json!({ "nbf": NOW + 61 })).to_string());
    bench.claims(claims(json!({ "nbf": NOW as f64 + 61.5 })).to_string());
    // What is wrong otherwise is not called expired.
    bench.claims(claims(json!({ "exp": NOW - 61, "aud": "other" })).to_string());
    bench.done(55);
}

/// D-04: for whom and from whom.
#[test]
fn claims_that_do_not_fit() {
    let mut bench = Bench::new();
    for changes in [
        json!({ "aud": null }),
        json!({ "aud": "other" }),
        json!({ "aud": [] }),
        json!({ "aud": ["other"] }),
        json!({ "aud": ["weft", 1] }),
        json!({ "aud": ["weft", null] }),
        json!({ "aud": [["weft"]] }),
        json!({ "aud": 1 }),
        json!({ "aud": "WEFT" }),
        json!({ "aud": "weft " }),
        json!({ "aud": "weft,loom" }),
        json!({ "aud": { "weft": 1 } }),
        json!({ "aud": "" }),
        json!({ "aud": "*" }),
        json!({ "aud": "wef" }),
        json!({ "aud": "weft/" }),
        json!({ "iss": null }),
        json!({ "iss": "https://id.example/" }),
        json!({ "iss": "https://ID.example" }),
        json!({ "iss": "http://id.example" }),
        json!({ "iss": "id.example" }),
        json!({ "iss": "" }),
        json!({ "iss": [ISS] }),
        json!({ "iss": 1 }),
        json!({ "iss": "https://id.example " }),
        json!({ "iss": "https://id.example/x" }),
        json!({ "iss": "https://id.exampl" }),
        json!({ "iss": "https://id.example#" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        json!({ "sub": ["ann"] }),
        json!({ "sub": {} }),
        json!({ "sub": "a".repeat(256) }),
        json!({ "sub": "ann smith" }),
        json!({ "sub": "ann\n" }),
        json!({ "sub": "ann\0" }),
        json!({ "sub": "änn" }),
        json!({ "sub": "ann\u{202e}" }),
        json!({ "sub": " " }),
        json!({ "sub": "\u{7f}" }),
        json!({ "azp": 1 }),
        json!({ "azp": ["shop"] }),
    ] {
        bench.claims(claims(changes).to_string());
    }
    bench.done(43);
}

/// D-04: one reading.
#[test]
fn tokens_that_read_in_two_ways_or_not_at_all() {
    let mut bench = Bench::new();
    let usual = claims(json!({})).to_string();
    for twice in [r#""sub":"root""#, r#""sub":"ann""#, r#""exp":9999999999"#, r#""aud":"weft""#, r#""iss":"x""#] {
        bench.claims(format!("{{{twice},{}", &usual[1..]));
        bench.claims(format!("{},{twice}}}", &usual[..usual.len() - 1]));
    }
    bench.claims(format!(r#"{{"a":{{"b":1,"b":2}},{}"#, &usual[1..]));
    bench.header(r#"{"alg":"none","alg":"ES256","kid":"p256"}"#);
    bench.header(r#"{"alg":"ES256","kid":"rsa","kid":"p256"}"#);
    let deep = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels)).replace(":}", ":1}");
    for levels in [16, 17, 127, 128, 500] {
        bench.claims(format!(r#"{{"a":{},{}"#, deep(levels), &usual[1..]));
        bench.header(&format!(r#"{{"a":{},"alg":"ES256","kid":"p256"}}"#, deep(levels)));
    }
    for claims in
        ["", "{", "[]", "null", "1", "\"text\"", "foo", "{}", &format!("{usual}{usual}"), &format!("[{usual}]")]
    {
        bench.claims(claims);
    }
    bench.claims(format!("\u{feff}{usual}"));
    bench.claims([usual.as_bytes(), b"\0"].concat());
    bench.claims([&usual.as_bytes()[..usual.len() - 1], b",\"x\":\"\xff\"}"].concat());
    for header in ["", "{}", "[]", "null", "not json", "\u{feff}{\"alg\":\"ES256\",\"kid\":\"p256\"}"] {
        bench.header(header);
    }
    bench.done(40);
}

/// D-04: one form.
#[test]
fn tokens_that_are_spelt_otherwise() {
    let mut bench = Bench::new();
    let good = String::from_utf8(bench.mint.good(json!({}))).expect("a text");
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "....".into(),
        "a".into(),
        "a.b".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}, Bearer {good}"),
        format!("{good},{good}"),
        format!("Bearer {good}"),
        format!("\"{good}\""),
        good.replacen('.', "%2e", 1),
        good.replace('.', "\u{2024}"),
        format!("{header}.{payload}.{}+", &signature[1..]),
        format!("{header}.{payload}.{}/", &signature[1..]),
        format!("{header}.{payload}.{} ", &signature[1..]),
        format!("{header}.\n{payload}.{signature}"),
        format!("{header}.{payload}.{}é", &signature[1..]),
        json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] }).to_string(),
    ] {
        bench.refuse(&format!("{token:.200}"), token.as_bytes());
    }
    // 64 bytes are 86 characters, of which the last has four bits that mean nothing and must be zero.
    let last = signature.as_bytes()[85];
    assert!(b"AQgw".contains(&last), "{signature}");
    for loose in 1..4 {
        let token = format!("{header}.{payload}.{}{}", &signature[..85], char::from(last + loose));
        bench.refuse("loose bits", token.as_bytes());
    }
    // Every byte of the token counts.
    for at in 0..good.len() {
        let mut token = good.clone().into_bytes();
        token[at] = if token[at] == b'A' { b'B' } else { b'A' };
        if token != good.as_bytes() {
            bench.refuse(&format!("byte {at} is another"), &token);
        }
    }
    bench.done(150);
}

/// D-04: size is looked at first.
#[test]
fn tokens_that_are_too_long() {
    let mut bench = Bench::new();
    let filled = |bench: &Bench, length: usize| {
        let empty = bench.mint.good(json!({ "pad": "" })).len();
        // Three characters of claims become four of the token.
        let pad = (length - empty) / 4 * 3;
        (pad..).map(|pad| bench.mint.good(json!({ "pad": "x".repeat(pad) }))).find(|token| token.len() >= length)
    };
    let most = filled(&bench, TOKEN_MAX - 1).expect("a token");
    assert!(most.len() <= TOKEN_MAX, "{}", most.len());
    assert!(shown(&bench.verifier, "default", &most).is_ok(), "{} bytes", most.len());
    let more = filled(&bench, TOKEN_MAX + 1).expect("a token");
    bench.refuse("longer than 8 KiB", &more);
    bench.refuse("a megabyte", &vec![b'a'; 1024 * 1024]);
    bench.refuse("a megabyte of dots", &vec![b'.'; 1024 * 1024]);
    bench.done(3);
}
