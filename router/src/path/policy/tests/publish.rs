//! What a publish needs its event for, and what is decided without it.

use weft_functions::event::Event;
use weft_functions::policy::{Action, ConditionKey, Operation, Rule, Source, Verb};

use super::given::*;
use crate::path::policy::{
    Decision, Default, Judgement, Labels, OwnedQuestion, Permit, PolicyIndex, RuleRef, Ruling, decide, decide_each,
};
use crate::path::snapshot::Snapshot;

fn types(types: &[&str]) -> Rule {
    to(Operation { verbs: vec![Verb::Publish], types: any_of(types), ..Operation::default() })
}

fn of_type(ty: &str) -> OwnedQuestion {
    let mut question = question(Verb::Publish);
    question.event = Some(vec![("type".to_owned(), ty.to_owned()), ("source".to_owned(), "/shop".to_owned())]);
    question
}

/// The index unread, with an event of type `a`, and with one of type `b`.
fn three(index: &PolicyIndex) -> [String; 3] {
    [unread(of_type("a")), of_type("a"), of_type("b")].map(|question| ruling(index, &question))
}

#[test]
fn the_event_is_read_only_if_the_answer_depends_on_it() {
    const A: &str = "allowed: policy default/a rule 0";
    const D: &str = "refused: policy default/d rule 0";
    const NONE: &str = "refused: no ALLOW policy matches";
    const DEFAULT: &str = "allowed: default";
    let of_shop = |rule: Rule| Rule { from: from_principals(&[SHOP]).from, ..rule };
    let of_other = |rule: Rule| Rule { from: from_principals(&[OTHER]).from, ..rule };
    let check = |policies, expect: [&str; 3]| assert_eq!(three(&index(Default::Allow, policies)), expect);
    check(vec![], [DEFAULT; 3]);
    check(vec![allow("default/a", types(&["a"]))], ["unknown", A, NONE]);
    check(vec![deny("default/d", types(&["a"]))], ["unknown", D, DEFAULT]);
    // A caller whom no rule could permit is refused unread, and one whom none could refuse is let pass.
    check(vec![allow("default/a", of_other(types(&["a"])))], [NONE; 3]);
    check(vec![deny("default/d", of_other(types(&["a"])))], [DEFAULT; 3]);
    check(vec![allow("default/a", of_shop(types(&["a"])))], ["unknown", A, NONE]);
    // One rule that needs no event is enough, unless a DENY may still forbid.
    check(vec![allow("default/a", Rule::default()), allow("default/b", types(&["a"]))], [A; 3]);
    check(vec![allow("default/a", Rule::default()), deny("default/d", types(&["a"]))], ["unknown", D, A]);
    check(vec![allow("default/a", from_principals(&[OTHER])), deny("default/d", types(&["a"]))], [NONE, D, NONE]);
    check(vec![allow("default/a", types(&["a"])), deny("default/d", Rule::default())], [D; 3]);
    // Conditions and exceptions are about the event too, and what a rule says beside them may settle it.
    let attribute = |matches| when(ConditionKey::EventAttribute("type".into()), matches);
    check(vec![allow("default/a", attribute(any_of(&["a"])))], ["unknown", A, NONE]);
    check(vec![allow("default/a", attribute(none_of(&["b"])))], ["unknown", A, NONE]);
    check(vec![allow("default/a", of_other(attribute(none_of(&["b"]))))], [NONE; 3]);
    let either = Rule {
        from: vec![from_principals(&[SHOP]).from.remove(0)],
        to: vec![types(&["a"]).to.remove(0), Operation { verbs: vec![Verb::Publish], ..Operation::default() }],
        when: Vec::new(),
    };
    check(vec![allow("default/a", either)], [A; 3]);
}

fn restricted(index: PolicyIndex, policies: Vec<weft_functions::policy::Policy>) -> PolicyIndex {
    let mut rules = rules(policies);
    let shop = rules.entry("shop".parse().expect("a name")).or_default();
    shop.source_prefixes = vec!["/shop".parse().expect("a prefix"), "urn:shop".parse().expect("a prefix")];
    index.with(rules)
}

#[test]
fn workloads_publish_under_the_sources_of_their_namespace() {
    let index = restricted(index(Default::Allow, vec![]), vec![]);
    let publish = |id: &str, source: &str| {
        let mut question = by(id, question(Verb::Publish));
        question.event = Some(vec![("type".to_owned(), "t".to_owned()), ("source".to_owned(), source.to_owned())]);
        question
    };
    const CLERK: &str = "spiffe://weft.local/ns/shop/sa/clerk";
    let check = |question: &OwnedQuestion, expect: &str| assert_eq!(ruling(&index, question), expect, "{question:?}");
    for (source, expect) in [
        ("/shop", "allowed: default"),
        ("/shop/till", "allowed: default"),
        ("urn:shop:7", "allowed: default"),
        ("/shopx", "refused: sourcePrefixes"),
        ("/", "refused: sourcePrefixes"),
        ("/shop/../bank", "refused: sourcePrefixes"),
    ] {
        check(&publish(CLERK, source), expect);
        check(&publish("spiffe://weft.local/ns/shop/fn/billing", source), expect);
        // It is about who publishes, not to where.
        check(&publish(SHOP, source), "allowed: default");
    }
    check(&unread(publish(CLERK, "/")), "unknown");
    check(&unread(publish(SHOP, "/")), "allowed: default");
    // An event that was admitted may be copied, and delivered.
    check(&OwnedQuestion { copy: true, ..publish(CLERK, "/bank") }, "allowed: default");
    check(&OwnedQuestion { copy: true, ..unread(publish(CLERK, "/bank")) }, "allowed: default");
    let delivered = OwnedQuestion { verb: Verb::Deliver, ..publish(CLERK, "/bank") };
    check(&delivered, "allowed: default");
    // Policy comes first where it refuses, and an ALLOW does not open it.
    let index =
        restricted(index_of_deny(), vec![allow("default/a", Rule::default()), deny("default/d", types(&["t"]))]);
    assert_eq!(ruling(&index, &publish(CLERK, "/bank")), "refused: policy default/d rule 0");
    let index = restricted(index_of_deny(), vec![allow("default/a", Rule::default())]);
    assert_eq!(ruling(&index, &publish(CLERK, "/bank")), "refused: sourcePrefixes");
    assert_eq!(ruling(&index, &publish(CLERK, "/shop")), "allowed: policy default/a rule 0");
    let index = restricted(index_of_deny(), vec![]);
    assert_eq!(ruling(&index, &unread(publish(CLERK, "/shop"))), "refused: default");
}

fn index_of_deny() -> PolicyIndex {
    index(Default::Deny, vec![])
}

fn event(ty: &str) -> Event {
    Event::builder().id("1").source("/shop").ty(ty).build().expect("an event")
}

#[test]
fn a_batch_is_all_or_nothing() {
    // Nothing is deployed, so what policy permits is not found.
    let snapshot = Snapshot::of_policy(1, index(Default::Deny, vec![allow("default/a", types(&["a"]))]));
    let question = unread(question(Verb::Publish));
    let check = |types: &[&str], expect: &str| {
        let events: Vec<Event> = types.iter().map(|ty| event(ty)).collect();
        let Decision::Denied(denied) = decide_each(&snapshot, question.question(), &events) else { panic!() };
        assert_eq!(denied.failure.reason.code(), expect, "{types:?}");
    };
    check(&["a"], "ROUTE_NONE");
    check(&["b"], "AUTHZ_NO_ALLOW");
    check(&["a", "a", "a"], "ROUTE_NONE");
    check(&["b", "a"], "AUTHZ_NO_ALLOW");
    check(&[], "ROUTE_NONE");
}

#[test]
fn the_event_is_read_for_an_audit_too() {
    for (rule, not_read, a, b) in [
        (types(&["a"]), (true, 0), (false, 1), (false, 0)),
        (on(&[Verb::Publish], Rule::default()), (false, 1), (false, 1), (false, 1)),
        (on(&[Verb::Request], Rule::default()), (false, 0), (false, 0), (false, 0)),
    ] {
        let index = index(Default::Allow, vec![policy("default/x", Action::Audit, vec![rule.clone()])]);
        let found = [unread(of_type("a")), of_type("a"), of_type("b")].map(|question| {
            let Judgement { ruling, audited, more_audits } = index.evaluate(question.question());
            assert!(matches!(ruling, Ruling::Allowed(_)), "{ruling:?}");
            (more_audits, audited.len())
        });
        assert_eq!(found, [not_read, a, b], "{rule:?}");
    }
}

#[test]
fn a_batchs_permit_notes_what_any_of_its_events_was_noted_for() {
    let noted = |rules: std::ops::Range<u32>| {
        let rule = |rule| RuleRef { policy: "default/x".into(), rule };
        Permit::new(Labels::unknown(Verb::Publish).with_audits(rules.map(rule).collect()))
    };
    for (one, other, expect) in [(0..2, 1..3, 0..3), (0..0, 0..1, 0..1), (0..1, 0..0, 0..1), (0..10, 5..40, 0..16)] {
        let mut permit = noted(one);
        permit.join(noted(other));
        assert_eq!(permit.labels(), noted(expect).labels());
    }
}

#[test]
fn what_does_not_exist_is_forbidden_to_those_who_may_do_nothing_with_it_and_read_for_nobody() {
    let snapshot = |rule| Snapshot::of_policy(1, index(Default::Deny, vec![allow("default/a", rule)]));
    let code = |snapshot: &Snapshot, question: &OwnedQuestion| match decide(snapshot, question.question()) {
        Decision::Denied(denied) => denied.failure.reason.code(),
        other => panic!("{other:?}"),
    };
    let shop = from(Source { principals: any_of(&[SHOP]), ..Source::default() });
    for verb in [Verb::Request, Verb::Publish, Verb::Deliver, Verb::Consume] {
        assert_eq!(code(&snapshot(shop.clone()), &question(verb)), "ROUTE_NONE");
        assert_eq!(code(&snapshot(shop.clone()), &by(OTHER, question(verb))), "AUTHZ_NO_ALLOW");
    }
    assert_eq!(code(&snapshot(types(&["a"])), &unread(question(Verb::Publish))), "ROUTE_NONE");
}
