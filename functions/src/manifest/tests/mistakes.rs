//! A table of mistakes: the document, and what is said about it.

mod expressions;
mod identity;
mod policies;

use super::*;

/// Problems as `LINE:COLUMN code path: message`.
fn shown(text: &str) -> Vec<String> {
    let show = |p: &Problem| format!("{}:{} {} {}: {}", p.location.line, p.location.column, p.code, p.path, p.message);
    parse_text(text).err().unwrap_or_default().iter().map(show).collect()
}

fn check(text: &str, expect: &[&str]) {
    assert_eq!(shown(text), expect, "{text}");
}

/// A document whose spec is `spec`, which begins on line 4.
fn document(kind: Kind, spec: &str) -> String {
    format!("apiVersion: weft.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: f }}\nspec: {spec}\n")
}

fn function(spec: &str) -> String {
    document(Kind::Function, spec)
}

fn topic(spec: &str) -> String {
    document(Kind::Topic, spec)
}

fn trigger(spec: &str) -> String {
    document(Kind::Trigger, spec)
}

fn policy(spec: &str) -> String {
    document(Kind::Policy, spec)
}

#[test]
fn a_file_that_was_cut_off_is_not_one_that_holds_nothing() {
    let cut_off = ["1:1 syntax : the file is empty: write a document, or a comment if it is to hold nothing"];
    check("", &cut_off);
    check(" \n\n", &cut_off);
    check("# nothing yet\n", &[]);
    check("---\n", &[]);
}

#[test]
fn documents() {
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Route\nmetadata: { name: f }\nspec: {}",
        &[
            "2:7 unsupported kind: Route is not supported: this version has Function, Topic, Trigger, Policy, Namespace, Issuer",
        ],
    );
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: Bad_Name, namespace: '' }",
        &[
            "3:19 bad_name metadata.name: `metadata.name`: `Bad_Name` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
            "3:40 bad_name metadata.namespace: `metadata.namespace`: `` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
        ],
    );
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: 12 }",
        &["3:19 wrong_type metadata.name: `metadata.name` must be text: quote it, found the number 12"],
    );
    check("a: [1,\nb: {", &["2:4 syntax : cannot read this as YAML: unclosed bracket '{'"]);
    check("a: 'x\n", &["1:4 syntax : cannot read this as YAML: unclosed quote"]);
    check(
        "\tb: 1\n",
        &[
            "1:2 unknown_key b: unknown key `b`: expected one of apiVersion, kind, metadata, spec",
            "1:2 missing_key apiVersion: `apiVersion` is missing",
            "1:2 missing_key kind: `kind` is missing",
            "1:2 missing_key metadata: `metadata` is missing",
        ],
    );
    check("a: *x\n", &["1:4 syntax : cannot read this as YAML: alias references unknown anchor"]);
    check("a: !foo x\n", &["1:9 syntax : cannot read this as YAML: unsupported tag `!foo`"]);
    check("a: @x\n", &["1:4 syntax : cannot read this as YAML: unexpected character: `@'"]);
    check("? [a, b]\n: 1\n", &["1:3 syntax : cannot read this as YAML: expected string scalar"]);
    check("a: 1\n b: 2\n", &["2:3 syntax : cannot read this as YAML: mapping values are not allowed in this context"]);
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: hello-00001 }\nspec: { module: a.wasm }\n",
        &[
            "3:19 bad_name metadata.name: `hello-00001` is reserved: `topics` takes events, and names ending in -NNNNN are revisions",
        ],
    );
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: topics }\nspec: { module: a.wasm }\n",
        &[
            "3:19 bad_name metadata.name: `topics` is reserved: `topics` takes events, and names ending in -NNNNN are revisions",
        ],
    );
}

#[test]
fn functions() {
    check(
        &function("{ module: oci://x/y, env: { A: 1, 'B=': x, C: [] }, allowHosts: [ 'https://x', y:0 ] }"),
        &[
            "4:17 unsupported spec.module: modules from a registry are not supported in this version: give the path of a .wasm file",
            "4:38 wrong_type spec.env.A: `spec.env.A` must be text: quote it, found the number 1",
            "4:41 bad_value spec.env.B=: `B=` cannot be the name of an environment variable",
            "4:53 wrong_type spec.env.C: `spec.env.C` must be text, found a list",
            "4:73 bad_value spec.allowHosts[0]: `spec.allowHosts[0]`: `https://x` is not an allowed host: leave out the scheme; expected host:port, host, *.domain, an address or a range",
            "4:86 bad_value spec.allowHosts[1]: `spec.allowHosts[1]`: `y:0` is not an allowed host: not a port from 1 to 65535; expected host:port, host, *.domain, an address or a range",
        ],
    );
    check(
        &function(
            "{ moduel: a.wasm, scale: { min: -1, max: 20000, idle: 5, queue: x }, limits: { memory: 1, cpu: 30, timeout: 2h, idle: abc, stream: [] } }",
        ),
        &[
            "4:7 missing_key spec.module: `module` is missing in `spec`",
            "4:9 unknown_key spec.moduel: unknown key `moduel` in `spec`: did you mean `module`?",
            "4:39 bad_value spec.scale.min: `spec.scale.min` must be from 0 to 1000",
            "4:48 bad_value spec.scale.max: `spec.scale.max` must be from 1 to 10000",
            "4:61 wrong_type spec.scale.idle: `spec.scale.idle` must be a duration with its unit, such as 30s or PT30S, found the number 5",
            "4:71 wrong_type spec.scale.queue: `spec.scale.queue` must be a whole number from 0 to 100000, found text",
            "4:94 bad_value spec.limits.memory: `spec.limits.memory` must be from 1Mi to 4Gi",
            "4:102 wrong_type spec.limits.cpu: `spec.limits.cpu` must be a duration with its unit, such as 30s or PT30S, found the number 30",
            "4:115 bad_value spec.limits.timeout: `spec.limits.timeout` must be from 1ms to 1h",
            "4:125 bad_value spec.limits.idle: `spec.limits.idle`: `abc` is not a duration: expected 250ms, 30s, 1h30m, 7d, or ISO 8601 such as PT0.2S or P1D (whole milliseconds, at most 36500d, no months or years)",
            "4:138 wrong_type spec.limits.stream: `spec.limits.stream` must be a duration with its unit, such as 30s or PT30S, found a list",
        ],
    );
    check(
        &function("{ module: a.wasm, isolation: revision, recycle: { calls: 0, age: 1ms, memory: 1Ki, requests: 1 } }"),
        &[
            "4:64 bad_value spec.recycle.calls: `spec.recycle.calls` must be from 1 to 1000000",
            "4:72 bad_value spec.recycle.age: `spec.recycle.age` must be from 1s to 1d",
            "4:85 bad_value spec.recycle.memory: `spec.recycle.memory` must be from 64Ki to 4Gi",
            "4:90 unknown_key spec.recycle.requests: unknown key `requests` in `spec.recycle`: expected one of calls, age, memory",
        ],
    );
    check(
        &function("{ module: a.wasm, recycle: { calls: 1 } }"),
        &["4:34 bad_value spec.recycle: `recycle` is for `isolation: revision`: other instances serve one call"],
    );
    check(
        &function("{ module: a.wasm, isolation: node }"),
        &["4:36 bad_value spec.isolation: `spec.isolation` must be request or revision, found `node`"],
    );
    check(
        &function("{ module: a.wasm, scale: { min: 5, max: 2 }, limits: 7, env: [] }"),
        &[
            "4:32 bad_value spec.scale: `min` (5) is above `max` (2)",
            "4:60 wrong_type spec.limits: `spec.limits` must be a mapping, found the number 7",
            "4:68 wrong_type spec.env: `spec.env` must be a mapping, found a list",
        ],
    );
    check(
        &function("{ module: a.wasm, module: b.wasm, env: { A: x, A: y } }"),
        &[
            "4:25 duplicate_key spec.module: `module` is given twice, first on line 4",
            "4:54 duplicate_key spec.env.A: `A` is given twice",
        ],
    );
}

#[test]
fn topics() {
    check(
        &topic(
            "{ retention: { age: 1d, size: 1Ki, full: drop }, durability: lax, keepClaims: [ '', 5 ], dedupe: 25h }",
        ),
        &[
            "4:37 bad_value spec.retention.size: `spec.retention.size` must be from 64Ki to 16Ti",
            "4:48 bad_value spec.retention.full: `spec.retention.full` must be refuse or drop-oldest, found `drop`",
            "4:68 bad_value spec.durability: `spec.durability` must be strict or relaxed, found `lax`",
            "4:87 bad_value spec.keepClaims[0]: `spec.keepClaims[0]` must be the name of a claim of 1 to 256 bytes",
            "4:91 wrong_type spec.keepClaims[1]: `spec.keepClaims[1]` must be text: quote it, found the number 5",
            "4:104 bad_value spec.dedupe: `spec.dedupe` must be from 0s to 1d",
        ],
    );
}

#[test]
fn triggers() {
    check(
        &trigger("{}"),
        &[
            "4:7 missing_key spec.topic: `topic` is missing in `spec`",
            "4:7 missing_key spec: `function` or `url` is missing in `spec`",
        ],
    );
    check(
        &trigger("{ topic: a/b/c, function: f, url: 'http://x', path: x, from: now, filter: [] }"),
        &[
            "4:16 bad_name spec.topic: `spec.topic`: `b/c` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
            "4:41 bad_value spec.url: `function` and `url` are both given: a trigger delivers to one of them",
            "4:68 bad_value spec.from: `spec.from` must be end or beginning, found `now`",
            "4:73 unknown_key spec.filter: unknown key `filter` in `spec`: did you mean `filters`?",
        ],
    );
    check(
        &trigger(
            "{ topic: a, url: 'ftp://x', path: /x, reply: b, delivery: { ordered: often, handshake: maybe, retries: 3, backoffDelay: 10m, deadLetter: {} } }",
        ),
        &[
            "4:24 bad_value spec.url: `spec.url` must be an absolute http or https address: it must begin with http:// or https://",
            "4:41 bad_value spec.path: `path` goes with `function`: write it into `url`",
            "4:52 wrong_type spec.reply: `spec.reply` must be a mapping, found text",
            "4:65 bad_value spec.delivery: `backoffDelay` (10m) is above `backoffMax` (5m)",
            "4:76 wrong_type spec.delivery.ordered: `spec.delivery.ordered` must be true or false, found text",
            "4:94 bad_value spec.delivery.handshake: `spec.delivery.handshake` must be optional, required or off, found `maybe`",
            "4:101 unknown_key spec.delivery.retries: unknown key `retries` in `spec.delivery`: expected one of retry, backoffPolicy, backoffDelay, backoffMax, timeout, deadLetter, ordered, inFlight, maxAge, retryAfterMax, handshake",
            "4:144 missing_key spec.delivery.deadLetter.topic: `topic` is missing in `spec.delivery.deadLetter`",
        ],
    );
    check(
        &trigger("{ topic: a, function: b, passIdentity: true, path: /%7e }"),
        &[
            "4:46 bad_value spec.passIdentity: `passIdentity` goes with `url`: a function always sees who calls",
            "4:58 bad_value spec.path: `spec.path`: write `~` for `%7e`, as requests' paths are spelled",
        ],
    );
    check(
        &trigger("{ topic: a, url: 'https://u:p@x/#f' }"),
        &["4:24 bad_value spec.url: `spec.url` must be an absolute http or https address: leave out the fragment"],
    );
    check(
        &trigger("{ topic: a, url: /x }"),
        &[
            "4:24 bad_value spec.url: `spec.url` must be an absolute http or https address: it must begin with http:// or https://",
        ],
    );
    check(
        &trigger(
            "{ topic: a, function: f, filters: [ { cesql: 'a >  ' }, {}, { exact: { type: x }, prefix: { type: y } }, { exact: {} }, { prefix: { Type: x, data: y, id: '' } }, { any: [] }, { not: [] }, { exact: { id: 5, id: x } }, x ] }",
        ),
        &[
            "4:56 bad_value spec.filters[0].cesql: `spec.filters[0].cesql`, character 4: expected a value, found the end of the expression",
            "4:63 bad_value spec.filters[1]: `spec.filters[1]` must have exactly one of exact, prefix, suffix, all, any, not, cesql",
            "4:67 bad_value spec.filters[2]: `spec.filters[2]` must have exactly one of exact, prefix, suffix, all, any, not, cesql",
            "4:121 bad_value spec.filters[3].exact: `spec.filters[3].exact` must name at least one attribute",
            "4:139 bad_value spec.filters[4].prefix.Type: `Type` is not the name of an event attribute: expected a-z and 0-9 only",
            "4:148 bad_value spec.filters[4].prefix.data: `data` is not the name of an event attribute: expected a-z and 0-9 only",
            "4:161 bad_value spec.filters[4].prefix.id: `spec.filters[4].prefix.id` must not be empty",
            "4:176 bad_value spec.filters[5].any: `spec.filters[5].any` must not be empty: leave it out or name at least one",
            "4:189 wrong_type spec.filters[6].not: `spec.filters[6].not` must be a mapping, found a list",
            "4:210 wrong_type spec.filters[7].exact.id: `spec.filters[7].exact.id` must be text: quote it, found the number 5",
            "4:213 duplicate_key spec.filters[7].exact.id: `id` is given twice",
            "4:224 wrong_type spec.filters[8]: `spec.filters[8]` must be a mapping, found text",
        ],
    );
}

/// Envelope mistakes come together with everything else.
#[test]
fn envelopes() {
    check(
        "{}",
        &[
            "1:1 missing_key apiVersion: `apiVersion` is missing",
            "1:1 missing_key kind: `kind` is missing",
            "1:1 missing_key metadata: `metadata` is missing",
        ],
    );
    check("- a", &["1:1 wrong_type : `the document` must be a mapping, found a list"]);
    check("hello", &["1:1 wrong_type : `the document` must be a mapping, found text"]);
    check(
        "apiVersion: v1\nkind: Funktion\nmetadata: { nam: f }\nspec: {}\nstatus: {}",
        &[
            "1:13 bad_value apiVersion: `apiVersion` must be weft.dev/v1alpha1, found `v1`",
            "2:7 unknown_kind kind: unknown kind `Funktion`: did you mean `Function`?",
            "3:11 missing_key metadata.name: `name` is missing in `metadata`",
            "3:13 unknown_key metadata.nam: unknown key `nam` in `metadata`: did you mean `name`?",
            "5:1 unknown_key status: unknown key `status`: expected one of apiVersion, kind, metadata, spec",
        ],
    );
    check(
        "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: f }",
        &["1:1 missing_key spec: `spec` is missing"],
    );
}

/// One broken document hides neither the mistakes before it nor those after it.
#[test]
fn every_document_of_every_file_is_read() {
    let text = format!(
        "{}---\na: [\n---\n# only a comment\n...\n%YAML 1.2\n---\n{}",
        topic("{ dedup: 1m }"),
        topic("{ size: 1 }")
    );
    let files = [SourceFile::new("a.yaml", text), SourceFile::new("b.yaml", function("{ module: '' }"))];
    let problems = parse(&files).unwrap_err();
    let places: Vec<String> = problems.iter().map(|p| format!("{} {}", p.location, p.code)).collect();
    assert_eq!(
        places,
        [
            "a.yaml:4 unknown_key",
            "a.yaml:6 syntax",
            "a.yaml:14 duplicate_resource",
            "a.yaml:15 unknown_key",
            "b.yaml:4 bad_value"
        ]
    );
}

#[test]
fn duplicates_name_both_places() {
    let (first, second) =
        (SourceFile::new("a.yaml", topic("{}")), SourceFile::new("b.yaml", format!("\n{}", topic("{}"))));
    let problems = parse(&[first.clone(), second]).unwrap_err();
    assert_eq!(problems[0].to_string(), "b.yaml:4:19: Topic default/f is described twice, first at a.yaml:1");
    let elsewhere = topic("{}").replace("name: f", "name: f, namespace: shop");
    let other_kind = function("{ module: a.wasm }");
    assert!(parse(&[first, SourceFile::new("b.yaml", elsewhere), SourceFile::new("c.yaml", other_kind)]).is_ok());
}

/// What is made to fill memory, stack or time is refused quickly.
#[test]
fn bounds() {
    fn check(text: &str, expect: &str) {
        let problems = parse_text(text).unwrap_err();
        assert!(problems[0].message.contains(expect), "{}", problems[0]);
        assert!(problems.len() <= 501, "{}", problems.len());
    }
    check(&format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)), "recursion limit exceeded");
    check(
        &(0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>(),
        "cannot read this as YAML",
    );
    let level = |name: char, of: &str| format!("{name}: &{name} [{}]\n", [of; 10].join(","));
    let bomb: String =
        [('a', "x"), ('b', "*a"), ('c', "*b"), ('d', "*c"), ('e', "*d")].map(|(n, of)| level(n, of)).concat();
    check(&bomb, "alias replay limit exceeded");
    check(&"x".repeat(1024 * 1024 + 1), "the file has more than 1048576 bytes: split it");
    check(&"- a\n".repeat(100_000), "cannot read this as YAML");
    let many: String = (0..20_000).map(|n| format!("k{n}: 1\n")).collect();
    check(&many, "unknown key `k0`");
    let filters = format!(
        "{{ topic: a, function: f, filters: [ {}{{ exact: {{ id: x }} }}{} ] }}",
        "{ not: ".repeat(9),
        " }".repeat(9)
    );
    check(&trigger(&filters), "filters may nest at most 8 deep");
    let hosts = format!("{{ module: a.wasm, allowHosts: [ {} ] }}", vec!["a.b"; 257].join(","));
    check(&function(&hosts), "may have at most 256 entries, found 257");
}

#[test]
fn aliases_and_merges_read_as_what_they_stand_for() {
    let text = "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: f }\nspec:\n  module: a.wasm\n  scale: { <<: &s { min: 1 }, max: 2 }\n  env: { A: &t text, B: *t }\n";
    let Resource::Function(function) = parse_text(text).unwrap().remove(0) else { panic!() };
    assert_eq!((function.spec.scale.min, function.spec.scale.max), (1, 2));
    assert_eq!(function.spec.env["B"], "text");
}

#[test]
fn rendering() {
    let text = "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: f }\nspec:\n\tmoduel: ü.wasm\n"
        .replace('\t', "  ");
    let problems = parse_text(&text).unwrap_err();
    let unknown = problems.iter().find(|p| p.code == Code::UnknownKey).unwrap();
    let expect = "app.yaml:5:3: unknown key `moduel` in `spec`: did you mean `module`?\n   |\n 5 |   moduel: ü.wasm\n   |   ^^^^^^";
    assert_eq!(unknown.render(false), expect);
    assert!(unknown.render(true).contains("\u{1b}[31;1m^^^^^^\u{1b}[0m"));

    let json = serde_json::to_value(unknown).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "file": "app.yaml", "line": 5, "column": 3, "path": "spec.moduel", "code": "unknown_key",
            "message": "unknown key `moduel` in `spec`: did you mean `module`?",
        })
    );
    let received: Problem = serde_json::from_value(json).unwrap();
    assert_eq!(received.render(false), "app.yaml:5:3: unknown key `moduel` in `spec`: did you mean `module`?");
    let again = received.with_source(&SourceFile::new("app.yaml", text));
    assert!(again.render(false).ends_with("   |   ^"), "{}", again.render(false));

    let long = format!(
        "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: {{ name: f }}\nspec: {{ keepClaims: [ {}], x: 1 }}",
        "a, ".repeat(20)
    );
    let shown = parse_text(&long.replace(" x: 1", &format!("{}x: 1", " ".repeat(5_000)))).unwrap_err()[0].render(false);
    assert!(shown.len() < 1_000 && shown.ends_with('^'), "{shown}");
}
