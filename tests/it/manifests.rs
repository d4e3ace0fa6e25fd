//! Bad manifests, through `weft check`: each mistake is told at its line, in words that say what was expected. The exact
//! text is asserted, because it is what people read.

use weft_tests::{Project, manifest};

/// The line that every manifest begins with.
const HEAD: &str = "apiVersion: weft.dev/v1alpha1\n";

/// A project whose `app.yaml` is no concern of `weft check`, which gets another file.
fn empty() -> Project {
    Project::new("")
}

/// Checks one manifest and expects this as the first line of what is said.
async fn check(project: &Project, text: &str, expect: &str) {
    project.write("../bad/bad.yaml", text);
    let run = project.weft(&["check", "../bad/bad.yaml"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{text}: {run:?}");
    assert_eq!(run.stderr.lines().next(), Some(&*format!("../bad/bad.yaml:{expect}")), "{text}");
    // Below it stands the line itself, with a mark under what is meant.
    let line = expect.split(':').next().unwrap();
    let meant = text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
    assert!(run.stderr.contains(&format!(" {line} | {meant}\n")), "{text}: {}", run.stderr);
    assert!(run.stderr.contains('^'), "{text}: {}", run.stderr);
    assert!(run.stderr.ends_with("1 mistake\n"), "{text}: {}", run.stderr);
}

/// Manifests after their first line, which is right, and the first line of what is said about them.
const MISTAKES: [(&str, &str); 20] = [
    ("kind: Topic\nmetadata: { name: orders\n", "3:11: cannot read this as YAML: unclosed bracket '{'"),
    (
        "kind: Topic\nmetadata: { name: orders }\nspec:\n  retension: { age: 1d }\n",
        "5:3: unknown key `retension` in `spec`: did you mean `retention`?",
    ),
    ("kind: Topik\nmetadata: { name: orders }\nspec: {}\n", "2:7: unknown kind `Topik`: did you mean `Topic`?"),
    (
        "kind: Topic\nmetadata: { name: Orders }\nspec: {}\n",
        "3:19: `metadata.name`: `Orders` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
    ),
    (
        "kind: Function\nmetadata: { name: topics }\nspec: { module: ./echo.wasm }\n",
        "3:19: `topics` is reserved: `topics` takes events, and names ending in -NNNNN are revisions",
    ),
    ("kind: Function\nmetadata: { name: f }\nspec:\n  env: { A: b }\n", "5:3: `module` is missing in `spec`"),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: ./echo.wasm\n  scale: { idle: 5 }\n",
        "6:18: `spec.scale.idle` must be a duration with its unit, such as 30s or PT30S, found the number 5",
    ),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: ./echo.wasm\n  limits: { memory: 8Ti }\n",
        "6:21: `spec.limits.memory` must be from 1Mi to 4Gi",
    ),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: ./echo.wasm\n  module: ./echo.wasm\n",
        "6:3: `module` is given twice, first on line 5",
    ),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: ./echo.wasm\n  allowHosts: [ 'https://x' ]\n",
        "6:17: `spec.allowHosts[0]`: `https://x` is not an allowed host: leave out the scheme; expected host:port, host, *.domain, an address or a range",
    ),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: ./none.wasm\n",
        "5:11: cannot read the module ../bad/./none.wasm: no such file or directory; build it, or correct the path",
    ),
    (
        "kind: Trigger\nmetadata: { name: t }\nspec:\n  topic: orders\n  url: ftp://x\n",
        "6:8: `spec.url` must be an absolute http or https address: it must begin with http:// or https://",
    ),
    (
        "kind: Trigger\nmetadata: { name: t }\nspec:\n  topic: orders\n  url: http://x\n",
        "5:10: there is no topic orders: add a Topic of that name",
    ),
    (
        "kind: Trigger\nmetadata: { name: t }\nspec:\n  topic: orders\n  url: http://x\n  filters: [ { exact: { Type: a } } ]\n",
        "7:25: `Type` is not the name of an event attribute: expected a-z and 0-9 only",
    ),
    (
        "kind: Trigger\nmetadata: { name: t }\nspec:\n  topic: orders\n  url: http://x\n  filters: [ { cesql: 'amount > ' } ]\n",
        "7:32: `spec.filters[0].cesql`, character 9: expected a value, found the end of the expression",
    ),
    (
        "kind: Policy\nmetadata: { name: p }\nspec:\n  action: MAYBE\n  rules: []\n",
        "5:11: `spec.action` must be ALLOW, DENY or AUDIT, found `MAYBE`",
    ),
    (
        "kind: Policy\nmetadata: { name: p }\nspec:\n  rules:\n  - from: [ { source: { principals: [ td/ns/a/sa/b ] } } ]\n",
        "6:39: `spec.rules[0].from[0].source.principals[0]`: `td/ns/a/sa/b` can never match: write spiffe://td/ns/a/sa/b",
    ),
    (
        "kind: Policy\nmetadata: { name: p }\nspec:\n  rules:\n  - to:\n    - operation: { verbs: [ publish ], hosts: [ a ] }\n",
        "7:18: this can never match: publish has no hosts, which goes with request and egress",
    ),
    (
        "kind: Issuer\nmetadata: { name: i }\nspec:\n  issuer: spiffe://td/a\n  audiences: [ weft ]\n  jwksUri: https://id.example/keys\n",
        "5:11: `spec.issuer` must not begin with spiffe: such an identity is proven by a certificate, never by a token",
    ),
    (
        "kind: Issuer\nmetadata: { name: a }\nspec: { issuer: corp, audiences: [ weft ], jwksUri: 'https://a.example' }\n---\napiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: { name: b, namespace: weft-system }\nspec: { issuer: corp, audiences: [ weft ], jwksUri: 'https://a.example' }\n",
        "9:17: `corp` is described twice for namespace default: first by Issuer default/a at ../bad/bad.yaml:1",
    ),
];

/// The same for what belongs to the language and not to this version.
const LATER: [(&str, &str); 4] = [
    (
        "kind: Route\nmetadata: { name: r }\nspec: {}\n",
        "2:7: Route is not supported: this version has Function, Topic, Trigger, Policy, Namespace, Issuer",
    ),
    (
        "kind: Function\nmetadata: { name: f }\nspec:\n  module: oci://x/y\n",
        "5:11: modules from a registry are not supported in this version: give the path of a .wasm file",
    ),
    (
        "kind: Policy\nmetadata: { name: p }\nspec:\n  targetRefs: []\n",
        "5:3: `targetRefs` is not supported in this version; expected one of action, targets, rules",
    ),
    (
        "kind: Trigger\nmetadata: { name: t }\nspec:\n  topic: o\n  url: http://x\n  delivery: { ordered: often }\n",
        "7:24: `spec.delivery.ordered` must be true or false, found text",
    ),
];

#[tokio::test]
async fn each_kind_of_mistake_points_at_its_line() {
    let project = empty();
    for (text, expect) in MISTAKES {
        check(&project, &format!("{HEAD}{text}"), expect).await;
    }
    let old = "apiVersion: weft.dev/v1\nkind: Topic\nmetadata: { name: orders }\nspec: {}\n";
    check(&project, old, "1:13: `apiVersion` must be weft.dev/v1alpha1, found `weft.dev/v1`").await;
}

#[tokio::test]
async fn what_belongs_to_a_later_version_is_refused_and_not_skipped() {
    let project = empty();
    for (text, expect) in LATER {
        check(&project, &format!("{HEAD}{text}"), expect).await;
    }
}

#[tokio::test]
async fn every_mistake_of_every_file_is_told_at_once() {
    let project = empty();
    project.write("../bad/a.yaml", manifest::function("f", "echo", "scale: { min: 5, max: 2 }, envv: {}"));
    project.write("../bad/below/b.yaml", manifest::topic("t", "dedup: 1m") + "---\na: [\n" + &manifest::topic("t", ""));
    project.write("../bad/c.yml", manifest::policy("p", "action: allow"));
    project.write("../bad/.hidden/d.yaml", "[");
    project.write("../bad/target/e.yaml", "[");
    let run = project.weft(&["check", "../bad"]).await;
    assert_eq!(run.code, 1);
    let places: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("../bad/")).collect();
    assert_eq!(
        places,
        [
            "../bad/a.yaml:5:37: `min` (5) is above `max` (2)",
            "../bad/a.yaml:5:57: unknown key `envv` in `spec`: did you mean `env`?",
            "../bad/below/b.yaml:5:9: unknown key `dedup` in `spec`: did you mean `dedupe`?",
            "../bad/below/b.yaml:7:4: cannot read this as YAML: unclosed bracket '['",
            "../bad/below/b.yaml:11:19: Topic default/t is described twice, first at ../bad/below/b.yaml:2",
            "../bad/c.yml:5:17: `spec.action` must be ALLOW, DENY or AUDIT, found `allow`",
        ]
    );
    assert!(run.stderr.ends_with("6 mistakes\n"), "{}", run.stderr);

    let json = project.weft(&["check", "../bad", "-o", "json"]).await;
    assert_eq!(json.code, 1);
    let errors = json.json()["errors"].as_array().cloned().unwrap();
    assert_eq!(errors.len(), 6);
    let first = &errors[1];
    let expect = serde_json::json!({
        "file": "../bad/a.yaml", "line": 5, "column": 57, "path": "spec.envv", "code": "unknown_key",
        "message": "unknown key `envv` in `spec`: did you mean `env`?",
    });
    assert_eq!(*first, expect);
}

#[tokio::test]
async fn what_is_right_is_counted() {
    let project = Project::new(
        &(manifest::function("f", "echo", "")
            + &manifest::topic("t", "")
            + &manifest::topic("u", "")
            + &manifest::trigger("g", "t", "function: f, reply: { topic: u }")
            + &manifest::policy("p", "targets: [ { function: f } ]")),
    );
    let run = project.weft(&["check", "."]).await.ok();
    assert_eq!(run.stdout, "1 function, 2 topics, 1 trigger, 1 policy: no mistakes\n");
    assert_eq!(project.weft(&["check", ".", "-o", "json"]).await.ok().json(), serde_json::json!({ "errors": [] }));
    // The examples are what people start from.
    for example in ["hello", "orders"] {
        let folder = weft_tests::modules::root().join("examples").join(example).display().to_string();
        project.weft(&["check", &folder]).await.ok();
    }
    assert_eq!(project.weft(&["check", "./none.yaml"]).await.code, 2, "a file that cannot be read is a wrong command");
    project.write("../nothing/notes.txt", "nothing");
    assert_eq!(project.weft(&["check", "../nothing"]).await.code, 2);
}

/// Benchmarks compose a node that answers without functions; nothing that a user writes can name it.
#[tokio::test]
async fn no_manifest_and_no_settings_can_put_something_in_the_place_of_a_function() {
    let project = empty();
    for key in ["backend", "answer", "text", "respond"] {
        let function =
            format!("{HEAD}kind: Function\nmetadata: {{ name: f }}\nspec: {{ {key}: hello, module: ./echo.wasm }}\n");
        let settings = format!(
            "trustDomain: weft.local\ndomain: mesh.example\ndata: data\nidentity: {{ ca: ca }}\n{key}: hello\n"
        );
        for text in [function, settings] {
            project.write("../bad/bad.yaml", &text);
            let run = project.weft(&["check", "../bad/bad.yaml"]).await;
            assert!(run.code == 1 && run.stderr.contains(&format!("unknown key `{key}`")), "{text}: {run:?}");
        }
    }
    for words in [["dev", "--backend"], ["serve", "--backend"]] {
        assert_eq!(project.weft(&words).await.code, 2, "{words:?}");
    }
}
