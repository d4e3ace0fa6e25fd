//! Every field reads as what it says, and what is written reads back.

mod generated;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::manifest::{Resource, SourceFile, parse};

/// The policy whose only rule this is, in `FILE:LINE` order.
fn policy(rule: &str) -> Policy {
    let text = format!(
        "apiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: p }}\nspec: {{ action: AUDIT, rules: [ {rule} ] }}\n"
    );
    match parse(&[SourceFile::new("app.yaml", text)]).map(|mut resources| resources.remove(0)) {
        Ok(Resource::Policy(policy)) => Arc::unwrap_or_clone(policy),
        other => panic!("{rule}: {other:?}"),
    }
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Each key lands in the field of its name, its `not…` form beside it, and all are written again as they were.
#[test]
fn every_field_reads() {
    let source = |key: &str, of: fn(&Source) -> Match<String>, any: &str, none: &str| {
        let not = format!("not{}{}", key[..1].to_uppercase(), &key[1..]);
        let rule = format!("{{ from: [ {{ source: {{ {key}: [ '{any}' ], {not}: [ '{none}' ] }} }} ] }}");
        let read = policy(&rule);
        assert_eq!(of(&read.spec.rules[0].from[0]), Match { any: vec![any.into()], none: vec![none.into()] }, "{key}");
        let written = read.spec.to_json()["rules"][0]["from"][0]["source"].clone();
        assert_eq!(written, json!({ key: [any], not: [none] }));
    };
    fn both<T: ToString>(values: &Match<T>) -> Match<String> {
        Match { any: texts(&values.any), none: texts(&values.none) }
    }
    let (a, b) = ("spiffe://td/ns/a/sa/*", "spiffe://td/ns/a/sa/b");
    source("principals", |source| both(&source.principals), a, b);
    source("requestPrincipals", |source| both(&source.request_principals), "https://id.example/*", "*/mallory");
    source("namespaces", |source| both(&source.namespaces), "shop*", "shop-test");
    source("origins", |source| both(&source.origins), a, b);
    source("ipBlocks", |source| both(&source.ip_blocks), "10.0.0.0/8", "10.1.0.0/16");

    let operation = |key: &str, of: fn(&Operation) -> Match<String>, any: &str, none: &str| {
        let not = format!("not{}{}", key[..1].to_uppercase(), &key[1..]);
        let rule = format!("{{ to: [ {{ operation: {{ {key}: [ '{any}' ], {not}: [ '{none}' ] }} }} ] }}");
        let read = policy(&rule);
        assert_eq!(of(&read.spec.rules[0].to[0]), Match { any: vec![any.into()], none: vec![none.into()] }, "{key}");
        let written = read.spec.to_json()["rules"][0]["to"][0]["operation"].clone();
        assert_eq!(written, json!({ key: [any], not: [none] }));
    };
    operation("hosts", |operation| both(&operation.hosts), "*.example", "evil.example");
    operation("methods", |operation| both(&operation.methods), "P*", "PUT");
    operation("paths", |operation| both(&operation.paths), "/shop/{*}/{**}", "/shop/admin/*");
    operation("topics", |operation| both(&operation.topics), "orders*", "orders-dead");
    operation("functions", |operation| both(&operation.functions), "*", "billing");
    operation("types", |operation| both(&operation.types), "order.*", "order.deleted");
    operation("sources", |operation| both(&operation.sources), "/shop/*", "/shop/test");
    for verb in Verb::ALL {
        let read = policy(&format!("{{ to: [ {{ operation: {{ verbs: [ {} ] }} }} ] }}", verb.as_str()));
        assert_eq!(read.spec.rules[0].to[0], Operation { verbs: vec![verb], ..Operation::default() });
    }
}

#[test]
fn every_condition_reads() {
    let check = |key: &str, expect: ConditionKey, any: &str, none: &str| {
        let read = policy(&format!("{{ when: [ {{ key: '{key}', values: [ '{any}' ], notValues: [ '{none}' ] }} ] }}"));
        let condition = &read.spec.rules[0].when[0];
        assert_eq!(condition.key, expect);
        assert_eq!(
            (texts(&condition.values.any), texts(&condition.values.none)),
            (vec![any.into()], vec![none.into()])
        );
    };
    check("request.headers[X-Tier]", ConditionKey::Header("x-tier".into()), "gold*", "golden");
    check("source.principal", ConditionKey::SourcePrincipal, "spiffe://td/*", "*/sa/b");
    check("source.namespace", ConditionKey::SourceNamespace, "*", "shop");
    check("origin.principal", ConditionKey::OriginPrincipal, "*", "spiffe://td/a");
    check("request.auth.principal", ConditionKey::AuthPrincipal, "https://id.example/*", "https://id.example/bob");
    check("request.auth.audiences", ConditionKey::AuthAudiences, "weft", "test");
    check("request.auth.presenter", ConditionKey::AuthPresenter, "app", "test");
    check(
        "request.auth.claims[realm][roles]",
        ConditionKey::AuthClaim(vec!["realm".into(), "roles".into()]),
        "clerk",
        "intern",
    );
    check("event.attributes[subject]", ConditionKey::EventAttribute("subject".into()), "*", "test-*");
}

#[test]
fn hosts_are_lower_case_and_addresses_short() {
    let read = policy("{ to: [ { operation: { hosts: [ A.Example, '[::0:1]', '::ffff:1', 10.0.0.1 ] } } ] }");
    assert_eq!(texts(&read.spec.rules[0].to[0].hosts.any), ["a.example", "[::1]", "[::ffff:1]", "10.0.0.1"]);
}

/// Where rules stand is known, and is no part of what the policy asks for.
#[test]
fn rules_have_places_of_their_own() {
    let text = "apiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: { name: p }\nspec:\n  rules:\n";
    let read = |text: &str| match parse(&[SourceFile::new("app.yaml", text)]).unwrap().remove(0) {
        Resource::Policy(policy) => policy,
        other => panic!("{other:?}"),
    };
    let places = |policy: &Policy| texts(&policy.rule_locations);
    let one = read(&format!("{text}    - {{}}\n    - to: [ {{ operation: {{ verbs: [ publish ] }} }} ]\n"));
    let other =
        read(&format!("# moved\n{text}\n    - {{}}\n    -\n      to: [ {{ operation: {{ verbs: [ publish ] }} }} ]\n"));
    assert_eq!(places(&one), ["app.yaml:6", "app.yaml:7"]);
    assert_eq!(places(&other), ["app.yaml:8", "app.yaml:10"]);
    assert_eq!(one.spec, other.spec);

    let location = Location { file: "log".into(), line: 7, column: 3 };
    let Ok(Resource::Policy(again)) = Resource::from_json(&Resource::Policy(one.clone()).to_json(), location) else {
        panic!("does not read back");
    };
    assert_eq!(places(&again), ["log:7", "log:7"]);
    assert_eq!(places(&again.clone().with_rule_lines(&one.rule_lines())), ["log:6", "log:7"]);
    assert_eq!(places(&again.with_rule_lines(&[1])), ["log:7", "log:7"]);
}
