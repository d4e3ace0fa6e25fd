//! Policies and questions for the tests of policy, made without manifests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use weft_functions::manifest::{Kind, Resource, SourceFile, parse};
use weft_functions::policy::{
    Action, Condition, ConditionKey, Match, Operation, Policy, Rule, Source, StringMatch, Target as Bound, Verb,
};
use weft_functions::value::{Name, Namespaced};

use crate::path::call::{Outside, Reach, Target};
use crate::path::caller::{Caller, Principal, Proof, Subject, Token, workload};
use crate::path::policy::{Default, OwnedHead, OwnedQuestion, PolicyIndex, Rules, Ruling};

pub(super) const SHOP: &str = "spiffe://weft.local/ns/default/sa/shop";
pub(super) const OTHER: &str = "spiffe://weft.local/ns/other/sa/clerk";

/// One of these, read as a manifest reads them.
pub(super) fn any_of(texts: &[&str]) -> Match<StringMatch> {
    Match { any: matches(texts), none: Vec::new() }
}

/// None of these.
pub(super) fn none_of(texts: &[&str]) -> Match<StringMatch> {
    Match { any: Vec::new(), none: matches(texts) }
}

fn matches(texts: &[&str]) -> Vec<StringMatch> {
    texts.iter().map(|text| text.parse().expect("a match")).collect()
}

/// The same matches as values of another type.
pub(super) fn read_as<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &Match<StringMatch>) -> Match<T> {
    let read = |list: &[StringMatch]| list.iter().map(|entry| entry.to_string().parse().expect("a match")).collect();
    Match { any: read(&texts.any), none: read(&texts.none) }
}

pub(super) fn from(source: Source) -> Rule {
    Rule { from: vec![source], ..Rule::default() }
}

pub(super) fn to(operation: Operation) -> Rule {
    Rule { to: vec![operation], ..Rule::default() }
}

pub(super) fn when(key: ConditionKey, values: Match<StringMatch>) -> Rule {
    Rule { when: vec![Condition { key, values }], ..Rule::default() }
}

pub(super) fn from_principals(principals: &[&str]) -> Rule {
    from(Source { principals: any_of(principals), ..Source::default() })
}

/// The rule for these verbs only.
pub(super) fn on(verbs: &[Verb], mut rule: Rule) -> Rule {
    if rule.to.is_empty() {
        rule.to.push(Operation::default());
    }
    rule.to.iter_mut().for_each(|operation| operation.verbs = verbs.to_vec());
    rule
}

/// A policy of everything in its namespace.
pub(super) fn policy(name: &str, action: Action, rules: Vec<Rule>) -> Policy {
    let (namespace, name) = name.split_once('/').expect("ns/name");
    let text = format!(
        "{{ apiVersion: weft.dev/v1alpha1, kind: Policy, metadata: {{ name: {name}, namespace: {namespace} }}, spec: {{}} }}"
    );
    let read = parse(&[SourceFile::new(format!("{name}.yaml"), text)]).expect("a policy");
    let Some(Resource::Policy(policy)) = read.into_iter().next() else { panic!("not a policy") };
    let mut policy = Arc::unwrap_or_clone(policy);
    policy.spec.action = action;
    policy.spec.rules = rules;
    policy
}

pub(super) fn allow(name: &str, rule: Rule) -> Policy {
    policy(name, Action::Allow, vec![rule])
}

pub(super) fn deny(name: &str, rule: Rule) -> Policy {
    policy(name, Action::Deny, vec![rule])
}

/// The policy of these targets only.
pub(super) fn of(targets: &[(Kind, &str)], mut policy: Policy) -> Policy {
    let bound = |(kind, name): &(Kind, &str)| Bound { kind: *kind, name: name.parse().expect("a name") };
    policy.spec.targets = targets.iter().map(bound).collect();
    policy
}

pub(super) fn index(default: Default, policies: Vec<Policy>) -> PolicyIndex {
    PolicyIndex::new(default, policies.into_iter().map(Arc::new))
}

/// The rules of several namespaces, to be changed further.
pub(super) fn rules(policies: Vec<Policy>) -> BTreeMap<Name, Rules> {
    let mut rules: BTreeMap<Name, Rules> = BTreeMap::new();
    for policy in policies {
        rules.entry(policy.metadata.namespace.clone()).or_default().policies.push(Arc::new(policy));
    }
    rules
}

pub(super) fn name(text: &str) -> Namespaced {
    text.parse().expect("a name")
}

/// A question of each verb by [`SHOP`], to something in the namespace `default`.
pub(super) fn question(verb: Verb) -> OwnedQuestion {
    let target = match verb {
        Verb::Request | Verb::Deliver => Target::Function(name("default/billing")),
        Verb::Publish => Target::Topic(name("default/orders")),
        Verb::Consume => Target::Subscription(name("default/orders")),
        Verb::Egress => Target::Outside(Outside {
            host: "api.example".into(),
            port: 443,
            owner_kind: Kind::Function,
            owner: name("default/billing"),
            reach: Ok(Reach::Public),
        }),
        Verb::Read | Verb::Apply | Verb::Operate => Target::Resource(weft_functions::manifest::ResourceId {
            kind: Kind::Topic,
            namespace: "default".parse().expect("a name"),
            name: "orders".parse().expect("a name"),
        }),
    };
    let head =
        OwnedHead { host: "billing.localhost".into(), method: "GET".into(), path: "/".into(), ..OwnedHead::default() };
    let event = vec![("type".to_owned(), "order.created".to_owned()), ("source".to_owned(), "/shop".to_owned())];
    OwnedQuestion {
        verb,
        target,
        caller: Caller::direct(workload(SHOP), Proof::Mtls),
        head: Some(head),
        event: matches!(verb, Verb::Publish | Verb::Deliver).then_some(event),
        trigger: None,
        copy: false,
        known: None,
    }
}

pub(super) fn by(principal: &str, mut question: OwnedQuestion) -> OwnedQuestion {
    question.caller = Caller::direct(workload(principal), Proof::Mtls);
    question
}

pub(super) fn unread(mut question: OwnedQuestion) -> OwnedQuestion {
    question.event = None;
    question
}

/// A token of this subject whose Issuer is the mesh's.
pub(super) fn token(subject: &str, claims: Value) -> Token {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Token {
        subject: Subject { text: subject.into(), scope: None },
        audiences: Vec::new(),
        presenter: None,
        claims,
        pass: Vec::new(),
        expires: u64::MAX,
    }
}

pub(super) fn with_token(mut question: OwnedQuestion, token: Token) -> OwnedQuestion {
    question.caller.token = Some(Arc::new(token));
    question
}

pub(super) fn with_claims(question: OwnedQuestion, claims: Value) -> OwnedQuestion {
    with_token(question, token("corp/ann", claims))
}

/// A caller with a token and no certificate.
pub(super) fn by_token(mut question: OwnedQuestion, token: Token) -> OwnedQuestion {
    let principal = Principal::Subject(token.subject.clone());
    question.caller = Caller::direct(principal, Proof::Jwt);
    with_token(question, token)
}

pub(super) fn nobody(mut question: OwnedQuestion) -> OwnedQuestion {
    question.caller = Caller::nobody();
    question
}

pub(super) fn no_claims() -> Value {
    json!({})
}

/// The answer in a word and what it rests on.
pub(super) fn ruling(index: &PolicyIndex, question: &OwnedQuestion) -> String {
    said(&index.evaluate(question.question()).ruling)
}

pub(super) fn said(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Allowed(ground) => format!("allowed: {ground}"),
        Ruling::Refused(ground) => format!("refused: {ground}"),
        Ruling::Unknown => "unknown".to_owned(),
    }
}

/// Whether a rule matches in an ALLOW, and whether it matches in a DENY.
pub(super) fn verdicts(rule: &Rule, question: &OwnedQuestion) -> (bool, bool) {
    let allowing = index(Default::Deny, vec![allow("default/a", rule.clone())]);
    let denying = index(Default::Allow, vec![deny("default/d", rule.clone())]);
    let rests = |index: &PolicyIndex| ruling(index, question).contains("rule 0");
    (rests(&allowing), rests(&denying))
}
