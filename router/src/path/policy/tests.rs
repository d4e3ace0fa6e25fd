//! The policy table: what each combination of policies says of each caller, verb and target.

mod cost;
mod fields;
mod given;
mod kept;
mod naive;
mod order;
mod publish;
mod random;
mod steps;
mod values;

use std::sync::Arc;

use weft_functions::manifest::{Resource, SourceFile, parse};
use weft_functions::policy::{Policy, Verb};

use super::*;
use crate::path::call::Target;
use crate::path::caller::{Caller, Proof, workload};

fn policies(text: &str) -> Vec<Arc<Policy>> {
    let file = SourceFile { name: "policies.yaml".into(), text: text.into() };
    let resources = parse(&[file]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let policy = |resource| match resource {
        Resource::Policy(policy) => policy,
        other => panic!("not a policy: {other:?}"),
    };
    resources.into_iter().map(policy).collect()
}

fn policy(name: &str, namespace: &str, action: &str, targets: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec: {{ action: {action}, targets: {targets}, rules: {rules} }}\n"
    )
}

fn snapshot(default: Default, text: &str) -> Snapshot {
    let policies = if text.is_empty() { Vec::new() } else { policies(text) };
    Snapshot::of_policy(1, PolicyIndex::new(default, policies))
}

fn question<'a>(verb: Verb, target: &'a Target, caller: &'a Caller) -> Question<'a> {
    Question { verb, target, caller, head: None, event: None, trigger: None, copy: false, known: None }
}

/// What `decide` says; the snapshot holds no functions, so "allowed" reads as ROUTE_NONE.
fn verdict(snapshot: &Snapshot, caller: &str, verb: Verb, target: &str) -> &'static str {
    let name = || target.split_once(' ').expect("kind and name").1.parse().expect("a name");
    let target = match target.split(' ').next() {
        Some("function") => Target::Function(name()),
        _ => Target::Topic(name()),
    };
    let caller = Caller::direct(workload(&format!("spiffe://weft.local/ns/default/sa/{caller}")), Proof::Mtls);
    match decide(snapshot, question(verb, &target, &caller)) {
        Decision::Denied(denied) => denied.failure.reason.code(),
        other => unreachable!("nothing is deployed: {other:?}"),
    }
}

const ALLOWED: &str = "ROUTE_NONE";
const DENIED: &str = "AUTHZ_DENY_RULE";
const NOT_ALLOWED: &str = "AUTHZ_NO_ALLOW";

fn from(principal: &str) -> String {
    format!("from: [ {{ source: {{ principals: [ \"{principal}\" ] }} }} ]")
}

#[test]
fn where_no_policy_selects_the_default_speaks() {
    for (default, expect) in [(Default::Allow, ALLOWED), (Default::Deny, NOT_ALLOWED)] {
        let snapshot = snapshot(default, "");
        for target in ["function default/hello", "topic default/orders", "function other/x"] {
            assert_eq!(verdict(&snapshot, "shop", Verb::Request, target), expect, "{target}");
        }
    }
}

#[test]
fn a_matching_deny_wins_over_every_allow() {
    let text = policy("all", "default", "ALLOW", "[]", "[ {} ]")
        + &policy(
            "not-mallory",
            "default",
            "DENY",
            "[]",
            &format!("[ {{ {} }} ]", from("*/sa/mallory").replace("*/", "*")),
        );
    let snapshot = snapshot(Default::Deny, &text);
    assert_eq!(verdict(&snapshot, "mallory", Verb::Request, "function default/hello"), DENIED);
    assert_eq!(verdict(&snapshot, "shop", Verb::Request, "function default/hello"), ALLOWED);
    assert_eq!(verdict(&snapshot, "mallory", Verb::Request, "function other/hello"), NOT_ALLOWED);
}

#[test]
fn an_allow_that_selects_a_target_and_verb_must_match() {
    let rules = format!(
        "[ {{ {}, to: [ {{ operation: {{ verbs: [ publish ] }} }} ] }} ]",
        from("spiffe://weft.local/ns/default/sa/shop")
    );
    let text = policy("shop-publishes", "default", "ALLOW", "[ { topic: orders } ]", &rules);
    let snapshot = snapshot(Default::Allow, &text);
    let check = |caller: &str, verb: Verb, target: &str, expect: &str| {
        assert_eq!(verdict(&snapshot, caller, verb, target), expect, "{caller} {verb:?} {target}");
    };
    check("shop", Verb::Publish, "topic default/orders", ALLOWED);
    check("other", Verb::Publish, "topic default/orders", NOT_ALLOWED);
    // It says nothing of other targets, other verbs, or the same name of another kind or namespace.
    check("other", Verb::Publish, "topic default/invoices", ALLOWED);
    check("other", Verb::Consume, "topic default/orders", ALLOWED);
    check("other", Verb::Request, "function default/orders", ALLOWED);
    check("other", Verb::Publish, "topic shop/orders", ALLOWED);
}

#[test]
fn an_allow_without_rules_allows_nobody() {
    let snapshot = snapshot(Default::Allow, &policy("nobody", "default", "ALLOW", "[ { function: vault } ]", "[]"));
    assert_eq!(verdict(&snapshot, "shop", Verb::Request, "function default/vault"), NOT_ALLOWED);
    assert_eq!(verdict(&snapshot, "shop", Verb::Request, "function default/hello"), ALLOWED);
}

#[test]
fn policies_of_the_mesh_bind_every_namespace() {
    let rules = format!("[ {{ {} }} ]", from("*mallory"));
    let snapshot = snapshot(Default::Allow, &policy("ban", "weft-system", "DENY", "[]", &rules));
    for target in ["function default/hello", "topic shop/orders"] {
        assert_eq!(verdict(&snapshot, "mallory", Verb::Request, target), DENIED, "{target}");
        assert_eq!(verdict(&snapshot, "shop", Verb::Request, target), ALLOWED, "{target}");
    }
}

#[test]
fn what_could_not_be_routed_keeps_its_own_reason() {
    let snapshot = snapshot(Default::Deny, "");
    let target = Target::Nowhere(Failure::hidden(Reason::RequestAmbiguous, "two hosts"));
    let caller = Caller::direct(workload("spiffe://weft.local/ns/default/sa/dev"), Proof::Dev);
    match decide(&snapshot, question(Verb::Request, &target, &caller)) {
        Decision::Denied(denied) => assert_eq!(denied.failure.reason, Reason::RequestAmbiguous),
        other => panic!("permitted to go nowhere: {other:?}"),
    }
}
