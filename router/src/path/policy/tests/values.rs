//! Values that are several, or of a kind that no rule can compare: headers (`threats.md` E-03) and claims.

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use weft_functions::policy::{ConditionKey, Match, StringMatch, Verb};

use super::given::*;
use crate::path::fixture::Dice;
use crate::path::policy::{Default, OwnedQuestion};

fn with_headers(values: &[&[u8]]) -> OwnedQuestion {
    let mut question = question(Verb::Request);
    let headers = &mut question.head.as_mut().expect("a head").headers;
    for value in values {
        headers.append(HeaderName::from_static("x-role"), HeaderValue::from_bytes(value).expect("a value"));
    }
    question
}

#[test]
fn a_header_rule_looks_at_every_value_and_every_member() {
    let rule = |matches| when(ConditionKey::Header("x-role".into()), matches);
    let check = |matches: Match<StringMatch>, values: &[&[u8]], (allows, denies): (bool, bool)| {
        let got = verdicts(&rule(matches.clone()), &with_headers(values));
        let shown: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
        assert_eq!(got, (allows, denies), "{matches:?} {shown:?}");
    };
    // What an ALLOW lets pass, a DENY of the same catches; what is of two minds is not allowed, and denied.
    let admin = || any_of(&["admin"]);
    check(admin(), &[b"admin"], (true, true));
    check(admin(), &[b"admin", b"admin"], (true, true));
    check(admin(), &[b"admin, admin"], (true, true));
    check(admin(), &[b"guest"], (false, false));
    check(admin(), &[], (false, false));
    check(admin(), &[b"Admin"], (false, false));
    check(admin(), &[b"admin", b"guest"], (false, true));
    check(admin(), &[b"guest", b"admin"], (false, true));
    check(admin(), &[b"guest,admin"], (false, true));
    check(admin(), &[b"admin ,guest"], (false, true));
    check(admin(), &[b"x", b"a, b ,admin"], (false, true));
    check(admin(), &[b""], (false, false));
    check(admin(), &[b"admin,"], (false, true));
    // A value with commas can be named as a whole; a prefix of one is not all that its members are.
    check(any_of(&["a, b"]), &[b"a, b"], (true, true));
    check(any_of(&["read*"]), &[b"reader"], (true, true));
    check(any_of(&["read*"]), &[b"reader, admin"], (false, true));
    check(any_of(&["*.example"]), &[b"evil, a.example"], (false, true));
    check(any_of(&["*"]), &[b"anything, at all"], (true, true));
    check(any_of(&["*"]), &[b""], (false, false));
    let not_guest = || none_of(&["guest"]);
    check(not_guest(), &[b"admin"], (true, true));
    check(not_guest(), &[], (true, true));
    check(not_guest(), &[b"guest"], (false, false));
    check(not_guest(), &[b"admin", b"guest"], (false, true));
    check(not_guest(), &[b"admin,guest"], (false, true));
    check(not_guest(), &[b"guest,guest"], (false, false));
}

#[test]
fn a_header_that_is_not_visible_ascii_satisfies_no_allow_and_escapes_no_deny() {
    for matches in [any_of(&["admin"]), any_of(&["*"]), none_of(&["guest"]), none_of(&["*"])] {
        for values in
            [&[b"adm\xefn".as_slice()] as &[&[u8]], &[b"admin", b"\xff"], &[b"\x80", b"admin"], &["ädmin".as_bytes()]]
        {
            let rule = when(ConditionKey::Header("x-role".into()), matches.clone());
            assert_eq!(verdicts(&rule, &with_headers(values)), (false, true), "{matches:?} {values:?}");
        }
    }
}

/// What somebody behind us may take a header for: any member of any of its lines, without what is no text.
fn readings(values: &[Vec<u8>]) -> Vec<String> {
    let text = |value: &Vec<u8>| value.iter().filter(|byte| byte.is_ascii()).map(|byte| char::from(*byte)).collect();
    let lines = values.iter().map(text).collect::<Vec<String>>();
    lines.iter().flat_map(|line| line.split(',').map(|member| member.trim().to_owned())).collect()
}

/// E-03 by the thousands. What is counted: generated lists of up to four lines of one header, each judged once by an ALLOW
/// and once by a DENY that name a value. A list in which some reader would see the value and the DENY does not match, or of
/// which the ALLOW matches and some reader would see another, is a bypass.
#[test]
fn no_spelling_of_twenty_thousand_gets_a_value_past_a_header_rule() {
    const LISTS: usize = 20_000;
    const PIECES: [&[u8]; 16] = [
        b"admin", b"admin", b"guest", b"ad", b"min", b",", b",", b", ", b" ", b"\t", b"\xff", b"\x80", b";", b"ADMIN",
        b"=", b"\"",
    ];
    let rule = when(ConditionKey::Header("x-role".into()), any_of(&["admin"]));
    let allowing = index(Default::Deny, vec![allow("default/a", rule.clone())]);
    let denying = index(Default::Allow, vec![deny("default/d", rule)]);
    let (mut dice, mut caught, mut allowed) = (Dice::new(4), 0, 0);
    for _ in 0..LISTS {
        let lines = (0..dice.below(5)).map(|_| (0..=dice.below(4)).flat_map(|_| dice.pick(&PIECES)).copied().collect());
        let lines: Vec<Vec<u8>> = lines.collect();
        let asked = with_headers(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let matches = |index| ruling(index, &asked).contains("rule 0");
        let (readings, denies) = (readings(&lines), matches(&denying));
        let shown = || lines.iter().map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>();
        if readings.iter().any(|reading| reading == "admin") {
            assert!(denies, "{:?} escapes the DENY", shown());
            caught += 1;
        }
        if matches(&allowing) {
            assert!(denies && readings.iter().all(|reading| reading == "admin"), "{:?} passes the ALLOW", shown());
            allowed += 1;
        }
    }
    assert!(caught >= 3_000 && allowed >= 100, "{caught} {allowed}");
}

#[test]
fn a_claim_is_a_string_or_a_list_of_strings() {
    let key = |path: &[&str]| ConditionKey::AuthClaim(path.iter().map(|key| (*key).to_owned()).collect());
    let check = |path: &[&str], claims: Value, (allows, denies): (bool, bool)| {
        let got = verdicts(&when(key(path), any_of(&["clerk"])), &with_claims(question(Verb::Request), claims.clone()));
        assert_eq!(got, (allows, denies), "{path:?} {claims}");
    };
    check(&["role"], json!({ "role": "clerk" }), (true, true));
    check(&["role"], json!({ "role": ["chief", "clerk"] }), (true, true));
    check(&["role"], json!({ "role": ["chief"] }), (false, false));
    check(&["role"], json!({ "role": [] }), (false, false));
    check(&["role"], json!({ "role": "chief clerk" }), (false, false));
    check(&["role"], json!({}), (false, false));
    check(&["a", "b"], json!({ "a": { "b": "clerk" } }), (true, true));
    check(&["a", "b"], json!({ "a": { "c": "clerk" } }), (false, false));
    check(&["a.b"], json!({ "a": { "b": "clerk" }, "a.b": "chief" }), (false, false));
    // What is of another type cannot be judged.
    for odd in
        [json!(7), json!(true), json!(null), json!({ "clerk": "clerk" }), json!(["clerk", 7]), json!([["clerk"]])]
    {
        check(&["role"], json!({ "role": odd }), (false, true));
    }
    check(&["a", "b"], json!({ "a": "clerk" }), (false, true));
    let not_banned = when(key(&["banned"]), none_of(&["yes"]));
    assert_eq!(verdicts(&not_banned, &with_claims(question(Verb::Request), json!({}))), (true, true));
    assert_eq!(
        verdicts(&not_banned, &with_claims(question(Verb::Request), json!({ "banned": "yes" }))),
        (false, false)
    );
    // Whoever leaves the token at home is not taken for somebody who is not banned.
    assert_eq!(verdicts(&not_banned, &question(Verb::Request)), (false, true));
}
