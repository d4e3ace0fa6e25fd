//! What manifests read as, and what every mistake in them says.

mod mistakes;

use super::*;
use crate::function::Isolation;
use crate::trigger::Destination;
use crate::value::{Duration, Size};

fn parse_text(text: &str) -> Result<Vec<Resource>, Vec<Problem>> {
    parse(&[SourceFile::new("app.yaml", text)])
}

/// The manifests of the documentation, without what this version refuses.
const ALL_KINDS: &str = r#"
apiVersion: weft.dev/v1alpha1
kind: Function
metadata: { name: billing, namespace: default }
spec:
  module: ./billing.wasm                  # relative to this file
  env: { CURRENCY: EUR }
  allowHosts: [ "api.bank.example:443" ]  # egress; default none
  scale: { min: 0, max: 100, idle: 60s, queue: 1000 }
  limits: { memory: 64Mi, cpu: 1s, timeout: 30s, idle: 15s, stream: 5m }
---
apiVersion: weft.dev/v1alpha1
kind: Topic
metadata: { name: orders }
spec:
  retention: { age: 7d, size: 1Gi, full: refuse }
  dedupe: 2m
  durability: strict
  keepClaims: [ role ]
---
apiVersion: weft.dev/v1alpha1
kind: Trigger
metadata: { name: bill-orders }
spec:
  topic: orders
  filters: [ { exact: { type: order.created } }, { not: { any: [ { prefix: { source: /test } }, { suffix: { id: "-x" } }, { cesql: "EXISTS weftreplay" } ] } }, { cesql: "amount > 10 AND subject LIKE 'gift\\_%'" } ]
  function: billing
  path: /events
  reply: { topic: invoices }
  delivery: { retry: 10, backoffPolicy: exponential, backoffDelay: PT0.2S, backoffMax: PT5M, timeout: PT30S,
              deadLetter: { topic: shop/orders-dead }, ordered: false, inFlight: 16, maxAge: P1D, handshake: optional }
---
apiVersion: weft.dev/v1alpha1
kind: Policy
metadata: { name: shop-publishes-orders }
spec:
  action: ALLOW
  targets: [ { topic: orders } ]
  rules:
    - from: [ { source: { principals: [ "spiffe://weft.local/ns/default/sa/shop", "*" ], notPrincipals: [ "*/evil" ] } } ]
      to:   [ { operation: { verbs: [ publish ] } } ]
"#;

const REST: &str = r#"
apiVersion: weft.dev/v1alpha1
kind: Topic
metadata: { name: invoices }
---
apiVersion: weft.dev/v1alpha1
kind: Topic
metadata: { name: orders-dead, namespace: shop }
"#;

#[test]
fn every_kind_reads() {
    let resources = parse_text(ALL_KINDS).unwrap();
    let ids: Vec<String> = resources.iter().map(|resource| resource.id().to_string()).collect();
    assert_eq!(
        ids,
        [
            "Function default/billing",
            "Topic default/orders",
            "Trigger default/bill-orders",
            "Policy default/shop-publishes-orders"
        ]
    );
    let places: Vec<String> = resources.iter().map(|resource| resource.location().to_string()).collect();
    assert_eq!(places, ["app.yaml:2", "app.yaml:12", "app.yaml:21", "app.yaml:33"]);
    let Resource::Trigger(trigger) = &resources[2] else { panic!() };
    assert_eq!(trigger.spec.reply.as_ref().unwrap().to_string(), "default/invoices");
    assert_eq!(trigger.spec.delivery.dead_letter.as_ref().unwrap().to_string(), "shop/orders-dead");
    assert_eq!(trigger.spec.filters.0.len(), 3);
    let Destination::Function { function, path } = &trigger.spec.destination else { panic!() };
    assert_eq!((function.to_string().as_str(), path.as_str()), ("default/billing", "/events"));
    let Resource::Policy(policy) = &resources[3] else { panic!() };
    let rule = &policy.spec.rules[0];
    let texts = |list: &[crate::policy::StringMatch]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&rule.from[0].principals.any), ["spiffe://weft.local/ns/default/sa/shop", "*"]);
    assert_eq!(texts(&rule.from[0].principals.none), ["*/evil"]);
    assert_eq!(rule.to[0].verbs, [crate::policy::Verb::Publish]);
}

/// What is left out has the value that the documentation shows.
#[test]
fn defaults_are_the_documented_ones() {
    let least = r"
{ apiVersion: weft.dev/v1alpha1, kind: Function, metadata: { name: billing }, spec: { module: billing.wasm, env: } }
---
{ apiVersion: weft.dev/v1alpha1, kind: Topic, metadata: { name: orders } }
---
{ apiVersion: weft.dev/v1alpha1, kind: Trigger, metadata: { name: bill }, spec: { topic: orders, function: billing } }
---
{ apiVersion: weft.dev/v1alpha1, kind: Policy, metadata: { name: none }, spec: {} }
---
{ apiVersion: weft.dev/v1alpha1, kind: Namespace, metadata: { name: shop }, spec: {} }
---
{ apiVersion: weft.dev/v1alpha1, kind: Issuer, metadata: { name: corp }, spec: { issuer: a, audiences: [ b ], jwksUri: https://c } }
";
    let read = parse_text(least).unwrap();
    let full = parse_text(ALL_KINDS).unwrap();
    let (Resource::Function(least), Resource::Function(full_function)) = (&read[0], &full[0]) else { panic!() };
    assert_eq!((least.spec.scale, least.spec.limits), (full_function.spec.scale, full_function.spec.limits));
    assert_eq!((least.spec.isolation, full_function.spec.isolation), (Isolation::Request, Isolation::Request));
    let (Resource::Topic(least), Resource::Topic(full_topic)) = (&read[1], &full[1]) else { panic!() };
    assert_eq!(least.spec.retention, full_topic.spec.retention);
    assert_eq!((least.spec.dedupe, least.spec.durability), (full_topic.spec.dedupe, full_topic.spec.durability));
    let (Resource::Trigger(least), Resource::Trigger(full_trigger)) = (&read[2], &full[2]) else { panic!() };
    let without_dead_letter = crate::trigger::Delivery { dead_letter: None, ..full_trigger.spec.delivery.clone() };
    assert_eq!(least.spec.delivery, without_dead_letter);
    assert!(matches!(&least.spec.destination, Destination::Function { path, .. } if path == "/"));
    let Resource::Policy(policy) = &read[3] else { panic!() };
    assert_eq!(policy.spec.to_json().to_string(), r#"{"action":"ALLOW","rules":[],"targets":[]}"#);
    let expect = r#"{"quotas":{"functions":100,"instances":200,"publishBytesPerSecond":"10Mi"}}"#;
    assert_eq!(read[4].to_json()["spec"].to_string(), expect);
    let expect = r#"{"algorithms":["RS256","ES256","EdDSA"],"allowPrivate":false,"audiences":["b"],"fromHeaders":[{"name":"authorization","prefix":"Bearer "}],"issuer":"a","jwksUri":"https://c/","passClaims":[]}"#;
    assert_eq!(read[5].to_json()["spec"].to_string(), expect);
    assert_eq!(full_function.spec.limits.memory, Size::from_mebibytes(64));
    assert_eq!(full_function.spec.scale.idle, Duration::from_secs(60));
}

/// `to_json` reads back as the same resource, and what it writes is complete.
#[test]
fn json_round_trips() {
    let url = r#"
apiVersion: weft.dev/v1alpha1
kind: Trigger
metadata: { name: out, namespace: shop }
spec: { topic: default/orders, from: beginning, url: "https://example.com/hook?x=1", passIdentity: true, delivery: { retryAfterMax: 0s } }
---
apiVersion: weft.dev/v1alpha1
kind: Function
metadata: { name: f }
spec: { module: f.wasm, allowHosts: [ 10.0.0.0/8, "[fd00::1]:80", "*.example.com" ] }
---
apiVersion: weft.dev/v1alpha1
kind: Function
metadata: { name: shared }
spec: { module: f.wasm, isolation: revision, recycle: { calls: 7, memory: 128Ki } }
---
apiVersion: weft.dev/v1alpha1
kind: Policy
metadata: { name: all, namespace: weft-system }
spec: { action: DENY, rules: [ {}, { from: [ { source: { notPrincipals: [ 'spiffe://a*' ] } } ] } ] }
---
apiVersion: weft.dev/v1alpha1
kind: Namespace
metadata: { name: shop }
spec: { default: deny, sourcePrefixes: [ /shop ], quotas: { functions: 7, publishBytesPerSecond: 1Mi } }
---
apiVersion: weft.dev/v1alpha1
kind: Namespace
metadata: { name: open, namespace: open }
spec: {}
---
apiVersion: weft.dev/v1alpha1
kind: Issuer
metadata: { name: corp, namespace: weft-system }
spec: { issuer: "https://id.corp.example", audiences: [ weft ], jwksUri: "https://id.corp.example/jwks", algorithms: [ ES384 ],
        fromHeaders: [ { name: X-Token }, { name: authorization, prefix: "Bearer " } ], passClaims: [ role ] }
---
apiVersion: weft.dev/v1alpha1
kind: Issuer
metadata: { name: inline }
spec:
  issuer: inline
  audiences: [ weft, shop ]
  allowPrivate: true
  jwks: |
    { "keys": [ { "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "n": [ 1, 1.5, null, true ] } ] }
"#;
    let spec_of = |resource: &Resource| resource.to_json()["spec"].clone();
    for resource in parse_text(&format!("{ALL_KINDS}---{REST}---{url}")).unwrap() {
        let json = resource.to_json();
        for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            let again = parse_text(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
            assert_eq!((again[0].id(), spec_of(&again[0])), (resource.id(), spec_of(&resource)));
            assert_eq!(again[0].to_json(), json);
        }
        let location = Location { file: "log".into(), line: 7, column: 3 };
        let again = Resource::from_json(&json, location.clone()).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!((again.id(), again.to_json(), again.location()), (resource.id(), json, &location));
    }
}

/// What a file may hold comes back from its JSON, whatever the JSON is as text: larger, or with characters that YAML
/// writes as escapes only.
#[test]
fn everything_that_was_taken_reads_back() {
    let check = |text: String| {
        let json = parse_text(&text).unwrap_or_else(|problems| panic!("{problems:?}"))[0].to_json();
        let again = Resource::from_json(&json, Location { file: "log".into(), line: 1, column: 1 });
        assert_eq!(again.unwrap_or_else(|problems| panic!("{problems:?}")).to_json(), json);
    };
    let escapes = ["\\x01", "\\x7f", "\\x85", "\\u2028", "\\ufeff", "\\uffff", "\\U0001F600"];
    check(format!(
        "apiVersion: {API_VERSION}\nkind: Function\nmetadata: {{ name: f }}\nspec: {{ module: a, env: {{ A: \"{}\" }} }}\n",
        escapes.concat()
    ));
    let principals = vec![format!("'spiffe://{}'", "a/".repeat(3) + "b"); 4_000].join(",");
    let rule = format!("{{from: [{{source: {{principals: [{principals}]}}}}]}}");
    let text = format!(
        "apiVersion: {API_VERSION}\nkind: Policy\nmetadata: {{ name: p }}\nspec: {{ rules: [{}] }}\n",
        vec![rule; 12].join(",")
    );
    assert!(text.len() < FILE_BYTES_MAX, "{}", text.len());
    check(text);
}

#[test]
fn a_mistake_in_a_module_is_at_the_line_that_names_it() {
    let text = format!("---\n# first\n{}", ALL_KINDS.trim_start());
    let Resource::Function(function) = parse_text(&text).unwrap().remove(0) else { panic!() };
    let problem = function.module_problem("no such file");
    assert_eq!((problem.code, problem.path.as_str()), (Code::BadModule, "spec.module"));
    let expect = "app.yaml:7:11: no such file\n   |\n 7 |   module: ./billing.wasm                  # relative to this file\n   |           ^^^^^^^^^^^^^^";
    assert_eq!(problem.render(false), expect);
    let again = Resource::from_json(&Resource::Function(function.clone()).to_json(), function.location).unwrap();
    let Resource::Function(again) = again else { panic!() };
    assert_eq!(again.module_problem("no such file").render(false), "app.yaml:3:1: no such file");
}

#[test]
fn kinds_read_in_any_form() {
    fn check(text: &str, expect: Option<Kind>) {
        assert_eq!(text.parse::<Kind>().ok(), expect, "{text}");
    }
    check("function", Some(Kind::Function));
    check("Functions", Some(Kind::Function));
    check("POLICIES", Some(Kind::Policy));
    check("policy", Some(Kind::Policy));
    check("policys", None);
    check("", None);
}

/// What the resources of a text have against each other.
fn check_together(text: &str, expect: &[&str]) {
    let problems = check_references(&parse_text(text).unwrap());
    let shown: Vec<String> = problems.iter().map(|p| format!("{} {} {p}", p.code, p.path)).collect();
    assert_eq!(shown, expect);
}

#[test]
fn references() {
    let check = check_together;
    let trigger = |spec: &str| {
        format!(
            "{ALL_KINDS}---{REST}---\napiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: t2 }}\nspec:\n{spec}"
        )
    };
    check(&format!("{ALL_KINDS}---{REST}"), &[]);
    check(
        ALL_KINDS,
        &[
            "unknown_reference spec.reply.topic app.yaml:29:19: there is no topic invoices: add a Topic of that name",
            "unknown_reference spec.delivery.deadLetter.topic app.yaml:31:36: there is no topic shop/orders-dead: add a Topic of that name",
        ],
    );
    check(
        &trigger("  topic: order\n  function: bilings\n"),
        &[
            "unknown_reference spec.topic app.yaml:55:10: there is no topic order: did you mean `orders`?",
            "unknown_reference spec.function app.yaml:56:13: there is no function bilings: did you mean `billing`?",
        ],
    );
    check(
        &trigger("  topic: orders-dead\n  url: http://example.com\n"),
        &[
            "unknown_reference spec.topic app.yaml:55:10: there is no topic orders-dead: did you mean `shop/orders-dead`?",
        ],
    );
    check(
        &trigger(
            "  topic: orders\n  function: billing\n  reply: { topic: default/orders }\n  delivery: { deadLetter: { topic: orders } }\n",
        ),
        &[
            "bad_value spec.reply.topic app.yaml:57:19: `spec.reply.topic` leads into default/orders, which this trigger reads: every event would make another; name a different topic",
            "bad_value spec.delivery.deadLetter.topic app.yaml:58:36: `spec.delivery.deadLetter.topic` leads into default/orders, which this trigger reads: every event would make another; name a different topic",
        ],
    );
    let policy = |namespace: &str| {
        format!(
            "{ALL_KINDS}---{REST}---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: p, namespace: {namespace} }}\nspec: {{ targets: [ {{ topic: orders }} ] }}\n"
        )
    };
    check(&policy("default"), &[]);
    check(&policy("weft-system"), &[]);
    check(
        &policy("shop"),
        &[
            "unknown_reference spec.targets[0].topic app.yaml:54:29: there is no topic orders: did you mean `default/orders`?",
        ],
    );
}

/// Two issuers that count in one namespace are told apart by every principal that they may vouch for.
#[test]
fn issuers_that_clash() {
    let issuer = |name: &str, namespace: &str, issuer: &str| {
        format!(
            "---\napiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
             spec: {{ issuer: '{issuer}', audiences: [ weft ], jwksUri: 'https://keys.example' }}\n"
        )
    };
    let pair = |one: (&str, &str), other: (&str, &str), expect: &[&str]| {
        check_together(&(issuer("a", one.0, one.1) + &issuer("b", other.0, other.1)), expect);
    };
    let twice = |namespace: &str, by: &str| {
        format!(
            "bad_value spec.issuer app.yaml:10:17: `https://id.example` is described twice for namespace {namespace}: first by Issuer {by}/a at app.yaml:2"
        )
    };
    let one = "https://id.example";
    pair(("shop", one), ("shop", one), &[&twice("shop", "shop")]);
    pair(("weft-system", one), ("shop", one), &[&twice("shop", "weft-system")]);
    pair(("shop", one), ("weft-system", one), &[&twice("shop", "shop")]);
    pair(("shop", one), ("bank", one), &[]);
    pair(("shop", one), ("shop", "https://id.example.org"), &[]);
    let ambiguous = |this: &str, other: &str| {
        format!(
            "bad_value spec.issuer app.yaml:10:17: `{this}` and `{other}`, described by Issuer shop/a at app.yaml:2, could name the same principal in namespace shop: one is the other followed by a slash"
        )
    };
    let below = "https://id.example/realm";
    pair(("shop", one), ("shop", below), &[&ambiguous(below, one)]);
    pair(("shop", below), ("shop", one), &[&ambiguous(one, below)]);
    pair(("shop", one), ("shop", "https://id.example/"), &[&ambiguous("https://id.example/", one)]);
    pair(("shop", one), ("bank", below), &[]);
}

#[test]
fn namespaces_with_more_functions_than_they_may_have() {
    let function = |name: &str, namespace: &str| {
        format!(
            "---\napiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec: {{ module: a.wasm }}\n"
        )
    };
    let functions = function("a", "shop") + &function("b", "shop") + &function("a", "bank");
    let check = |spec: &str, expect: &[&str]| {
        let namespace =
            format!("---\napiVersion: weft.dev/v1alpha1\nkind: Namespace\nmetadata: {{ name: shop }}\nspec: {spec}\n");
        check_together(&(functions.clone() + &namespace), expect);
    };
    check("{}", &[]);
    check("{ quotas: { functions: 2 } }", &[]);
    check(
        "{ quotas: { functions: 1 } }",
        &[
            "quota_exceeded spec.quotas.functions app.yaml:20:30: namespace shop would have 2 functions, and its `quotas.functions` is 1: raise it, or leave some out",
        ],
    );
}

/// The tables of the README name every code and kind.
#[test]
fn readme_is_complete() {
    let readme = include_str!("../../README.md");
    for word in Code::ALL.map(Code::as_str).into_iter().chain(Kind::ALL.map(Kind::as_str)) {
        assert!(readme.contains(&format!("\n| `{word}` |")), "{word} is missing in the README");
    }
}
