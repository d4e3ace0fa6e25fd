//! What a call costs, counted in rules that are judged; and what an apply costs, counted in namespaces that are compiled.

use std::sync::Arc;

use weft_functions::manifest::Kind;
use weft_functions::policy::{Action, Operation, Policy, Rule, Source, Verb};

use super::given::*;
use crate::path::call::Target;
use crate::path::policy::explain::{Phase, Sink};
use crate::path::policy::index::Default;
use crate::path::policy::predicate::Truth;
use crate::path::policy::question::Question;
use crate::path::policy::scope::{Scope, Section};
use crate::path::policy::{OwnedQuestion, PolicyIndex};

/// Counts the rules that are judged.
struct Count(usize);

impl<'a> Sink<'a> for Count {
    fn rule(&mut self, _: Phase, _: &'a Scope, _: u32, _: Truth) {
        self.0 += 1;
    }
    fn over(&mut self, _: Phase, _: &'a Scope, _: &[&'a Section], _: &Question<'_>) {}
    fn source(&mut self, _: &Question<'_>) {}
    fn falls_back(&mut self, _: Default) {}
}

fn judged(index: &PolicyIndex, question: &OwnedQuestion) -> usize {
    let mut count = Count(0);
    index.walk(&question.question(), &mut count);
    count.0
}

/// Policies of a hundred rules each.
fn in_hundreds(namespace: &str, action: Action, rules: Vec<Rule>) -> Vec<Policy> {
    let parts = rules.chunks(100).enumerate();
    parts.map(|(at, rules)| policy(&format!("{namespace}/p{at}"), action, rules.to_vec())).collect()
}

#[test]
fn ten_thousand_rules_cost_a_call_what_those_that_apply_cost() {
    let numbered = |at: usize| format!("spiffe://weft.local/ns/default/sa/client{at}");
    type Numbered = fn(usize) -> Rule;
    let kinds: [(&str, Numbered); 9] = [
        ("principals", |at| from_principals(&[&format!("spiffe://weft.local/ns/default/sa/client{at}")])),
        ("prefixes", |at| from_principals(&[&format!("spiffe://weft.local/ns/n{at}/*")])),
        ("suffixes", |at| from_principals(&[&format!("*/sa/client{at}")])),
        ("namespaces", |at| from(Source { namespaces: any_of(&[&format!("n{at}")]), ..Source::default() })),
        ("origins", |at| {
            from(Source { origins: any_of(&[&format!("spiffe://weft.local/ns/x/sa/o{at}")]), ..Source::default() })
        }),
        ("paths", |at| to(Operation { paths: read_as(&any_of(&[&format!("/a/{at}")])), ..Operation::default() })),
        ("hosts", |at| to(Operation { hosts: any_of(&[&format!("h{at}.example")]), ..Operation::default() })),
        ("functions", |at| to(Operation { functions: any_of(&[&format!("f{at}")]), ..Operation::default() })),
        ("subjects", |at| from(Source { request_principals: any_of(&[&format!("corp/{at}")]), ..Source::default() })),
    ];
    for (at, (kind, rule)) in kinds.into_iter().enumerate() {
        let action = if at % 2 == 0 { Action::Allow } else { Action::Deny };
        // Ten rules may be about anybody; ten thousand are about others.
        let anybody = || {
            let nobody = from(Source { principals: none_of(&["*"]), ..Source::default() });
            policy("default/x", Action::Deny, vec![nobody; 10])
        };
        let few = index(Default::Allow, vec![anybody()]);
        let others = in_hundreds("default", action, (0..10_000).map(|at| on(&[Verb::Request], rule(at))).collect());
        let many = index(Default::Allow, [others, vec![anybody()]].concat());
        let asked = by(&numbered(10_001), question(Verb::Request));
        let (few, many) = (judged(&few, &asked), judged(&many, &asked));
        assert_eq!(few, 10);
        assert!(many * 10 <= few * 12, "{kind} {action:?}: {many} rules were judged, {few} without the others");
    }
}

#[test]
fn what_differs_is_looked_up_whatever_else_is_alike() {
    // All have the same principal and method, and differ in the path.
    let rule = |at: usize| Rule {
        from: from_principals(&[SHOP]).from,
        to: vec![Operation {
            verbs: vec![Verb::Request],
            methods: any_of(&["GET"]),
            paths: read_as(&any_of(&[&format!("/a/{at}/*")])),
            ..Operation::default()
        }],
        when: Vec::new(),
    };
    let index = index(Default::Allow, in_hundreds("default", Action::Allow, (0..10_000).map(rule).collect()));
    let mut asked = question(Verb::Request);
    assert_eq!(judged(&index, &asked), 0);
    asked.head.as_mut().expect("a head").path = "/a/77/b".to_owned();
    assert_eq!(judged(&index, &asked), 1);
}

#[test]
fn ten_thousand_rules_of_event_types_cost_neither_before_nor_after_the_event_is_read() {
    let rule = |at: usize| Rule {
        from: from_principals(&[&format!("spiffe://weft.local/ns/default/sa/client{}", at % 5_000)]).from,
        to: vec![Operation { types: any_of(&[&format!("type.{at}")]), ..Operation::default() }],
        when: Vec::new(),
    };
    let index = index(Default::Allow, in_hundreds("default", Action::Allow, (0..10_000).map(rule).collect()));
    let mut asked = by("spiffe://weft.local/ns/default/sa/client7", question(Verb::Publish));
    assert_eq!(judged(&index, &unread(asked.clone())), 2);
    asked.event = Some(vec![("type".to_owned(), "type.5007".to_owned())]);
    assert_eq!(judged(&index, &asked), 1);
}

#[test]
fn policies_of_other_targets_verbs_and_namespaces_cost_nothing() {
    let all = |name: String| deny(&name, from_principals(&["*"]));
    let mut policies: Vec<Policy> =
        (0..1_000).map(|at| of(&[(Kind::Function, &format!("f{at}"))], all(format!("default/f{at}")))).collect();
    policies.extend((0..1_000).map(|at| all(format!("n{at}/x"))));
    policies.extend((0..1_000).map(|at| deny(&format!("default/v{at}"), on(&[Verb::Publish], Rule::default()))));
    let index = index(Default::Allow, policies);
    assert_eq!(judged(&index, &question(Verb::Request)), 0);
    let aimed = OwnedQuestion { target: Target::Function(name("default/f7")), ..question(Verb::Request) };
    assert_eq!(judged(&index, &aimed), 1);
}

#[test]
fn an_apply_compiles_the_namespaces_that_it_changes() {
    let before = index(Default::Allow, vec![deny("default/a", Rule::default()), deny("shop/a", Rule::default())]);
    let scope = |index: &PolicyIndex, namespace: &str| index.scope(namespace).cloned().expect("a scope");
    let shared = |after: &PolicyIndex, namespace| Arc::ptr_eq(&scope(&before, namespace), &scope(after, namespace));
    let mut rules = rules(vec![deny("default/a", Rule::default()), deny("shop/a", Rule::default())]);
    let same = before.with(rules.clone());
    assert!(shared(&same, "default") && shared(&same, "shop"));
    rules.entry("shop".parse().expect("a name")).or_default().default = Some(Default::Deny);
    let changed = before.with(rules.clone());
    assert!(shared(&changed, "default") && !shared(&changed, "shop"));
    rules.remove("shop");
    assert!(before.with(rules).scope("shop").is_none());
}
