//! The order of DENY, ALLOW and the default, which policies are asked, and what a trigger may read.

use weft_functions::manifest::Kind;
use weft_functions::policy::{Action, Operation, Rule, Source, Verb};

use super::given::*;
use crate::path::call::Target;
use crate::path::policy::{Default, OwnedQuestion, PolicyIndex};

const DENIED: &str = "refused: policy default/d rule 0";
const ALLOWED: &str = "allowed: policy default/a rule 0";
const NO_ALLOW: &str = "refused: no ALLOW policy matches";
const BY_DEFAULT: &str = "allowed: default";
const NOT_BY_DEFAULT: &str = "refused: default";

#[test]
fn deny_then_allow_then_the_default() {
    let (all, shop) = (Rule::default, || from_principals(&[SHOP]));
    let check = |default, policies, expect: [&str; 2]| {
        let index = index(default, policies);
        let asked = [question(Verb::Request), by(OTHER, question(Verb::Request))];
        assert_eq!(asked.map(|question| ruling(&index, &question)), expect, "{default:?}");
    };
    check(Default::Allow, vec![], [BY_DEFAULT; 2]);
    check(Default::Deny, vec![], [NOT_BY_DEFAULT; 2]);
    check(Default::Allow, vec![allow("default/a", shop())], [ALLOWED, NO_ALLOW]);
    check(Default::Deny, vec![allow("default/a", shop())], [ALLOWED, NO_ALLOW]);
    check(Default::Allow, vec![deny("default/d", shop())], [DENIED, BY_DEFAULT]);
    check(Default::Allow, vec![allow("default/a", all()), deny("default/d", shop())], [DENIED, ALLOWED]);
    check(Default::Allow, vec![policy("default/a", Action::Allow, vec![])], [NO_ALLOW; 2]);
    check(Default::Allow, vec![policy("default/d", Action::Deny, vec![])], [BY_DEFAULT; 2]);
    // An AUDIT changes nothing, whatever it matches.
    check(Default::Allow, vec![policy("default/x", Action::Audit, vec![all()])], [BY_DEFAULT; 2]);
    check(Default::Deny, vec![policy("default/x", Action::Audit, vec![all()])], [NOT_BY_DEFAULT; 2]);
    check(
        Default::Deny,
        vec![policy("default/x", Action::Audit, vec![]), allow("default/a", shop())],
        [ALLOWED, NO_ALLOW],
    );
}

#[test]
fn the_mesh_and_the_targets_namespace_are_asked_and_no_other() {
    let ban = || from_principals(&[SHOP]);
    let check = |denied_in: &str, asked: &OwnedQuestion, expect: &str| {
        let policy = deny(&format!("{denied_in}/d"), ban());
        assert_eq!(ruling(&index(Default::Allow, vec![policy]), asked), expect, "{denied_in}");
    };
    let elsewhere = OwnedQuestion { target: Target::Function(name("shop/x")), ..question(Verb::Request) };
    check("default", &question(Verb::Request), DENIED);
    check("default", &elsewhere, BY_DEFAULT);
    check("shop", &elsewhere, "refused: policy shop/d rule 0");
    check("weft-system", &question(Verb::Request), "refused: policy weft-system/d rule 0");
    check("weft-system", &elsewhere, "refused: policy weft-system/d rule 0");
    // An ALLOW of the mesh allows where the namespace's own do not, and the other way round.
    let both = index(Default::Deny, vec![allow("weft-system/a", ban()), allow("default/a", from_principals(&[OTHER]))]);
    assert_eq!(ruling(&both, &question(Verb::Request)), "allowed: policy weft-system/a rule 0");
    assert_eq!(ruling(&both, &by(OTHER, question(Verb::Request))), ALLOWED);
    assert_eq!(ruling(&both, &elsewhere), "allowed: policy weft-system/a rule 0");
}

#[test]
fn targets_select_resources_of_the_policys_namespace() {
    let check = |targets: &[(Kind, &str)], asked: OwnedQuestion, selected: bool| {
        let policy = of(targets, deny("default/d", Rule::default()));
        let expect = if selected { DENIED } else { BY_DEFAULT };
        assert_eq!(ruling(&index(Default::Allow, vec![policy]), &asked), expect, "{targets:?} {asked:?}");
    };
    check(&[(Kind::Function, "billing")], question(Verb::Request), true);
    check(&[(Kind::Function, "mailing"), (Kind::Function, "billing")], question(Verb::Deliver), true);
    check(&[(Kind::Function, "mailing")], question(Verb::Request), false);
    check(&[(Kind::Topic, "billing")], question(Verb::Request), false);
    check(&[(Kind::Topic, "orders")], question(Verb::Publish), true);
    check(&[(Kind::Topic, "orders")], question(Verb::Consume), true);
    check(&[(Kind::Topic, "orders")], question(Verb::Read), false);
    check(&[(Kind::Function, "billing")], question(Verb::Egress), true);
    let elsewhere = OwnedQuestion { target: Target::Function(name("shop/billing")), ..question(Verb::Request) };
    check(&[(Kind::Function, "billing")], elsewhere.clone(), false);
    // The mesh's own policies have targets too, and these are its own resources.
    let mesh = of(&[(Kind::Function, "billing")], deny("weft-system/d", Rule::default()));
    assert_eq!(ruling(&index(Default::Allow, vec![mesh]), &elsewhere), BY_DEFAULT);
    // A trigger is selected by what it reads and by what it delivers, where it has the same owner.
    for (trigger, selected) in [("default/bill", true), ("shop/bill", false), ("default/other", false)] {
        for verb in [Verb::Consume, Verb::Deliver] {
            let asked = OwnedQuestion { trigger: Some(name(trigger)), ..question(verb) };
            check(&[(Kind::Trigger, "bill")], asked, selected);
        }
        let nested = OwnedQuestion { trigger: Some(name(trigger)), ..question(Verb::Egress) };
        check(&[(Kind::Trigger, "bill")], nested, false);
    }
}

#[test]
fn administration_is_meant_only_by_name() {
    for (named, expect) in [(&[][..], BY_DEFAULT), (&[Verb::Read], DENIED), (&[Verb::Apply], BY_DEFAULT)] {
        let rule = if named.is_empty() { Rule::default() } else { on(named, Rule::default()) };
        let index = index(Default::Allow, vec![of(&[(Kind::Topic, "orders")], deny("default/d", rule))]);
        assert_eq!(ruling(&index, &question(Verb::Read)), expect, "{named:?}");
    }
    // Neither does an ALLOW of traffic give administration away or close it, be it one that allows nobody.
    let nobody = policy("default/a", Action::Allow, vec![]);
    for policy in [allow("default/a", Rule::default()), nobody] {
        assert_eq!(ruling(&index(Default::Deny, vec![policy.clone()]), &question(Verb::Apply)), NOT_BY_DEFAULT);
        assert_eq!(ruling(&index(Default::Allow, vec![policy]), &question(Verb::Apply)), BY_DEFAULT);
    }
}

#[test]
fn an_allow_selects_by_target_and_verb() {
    let check = |policy, verb, expect: &str| {
        assert_eq!(ruling(&index(Default::Allow, vec![policy]), &by(OTHER, question(verb))), expect, "{verb:?}");
    };
    let publish = || on(&[Verb::Publish], from_principals(&[SHOP]));
    check(allow("default/a", publish()), Verb::Publish, NO_ALLOW);
    check(allow("default/a", publish()), Verb::Consume, NOT_BY_DEFAULT);
    check(allow("default/a", publish()), Verb::Request, BY_DEFAULT);
    check(of(&[(Kind::Topic, "orders")], allow("default/a", publish())), Verb::Publish, NO_ALLOW);
    check(of(&[(Kind::Topic, "letters")], allow("default/a", publish())), Verb::Publish, BY_DEFAULT);
    // What is called is not what selects: an ALLOW of one path closes the others.
    let path = to(Operation { paths: read_as(&any_of(&["/open/*"])), ..Operation::default() });
    check(allow("default/a", path), Verb::Request, NO_ALLOW);
}

#[test]
fn a_namespace_may_have_a_default_of_its_own() {
    for (node, own, expect) in [
        (Default::Allow, Some(Default::Deny), NOT_BY_DEFAULT),
        (Default::Deny, Some(Default::Allow), BY_DEFAULT),
        (Default::Allow, None, BY_DEFAULT),
        (Default::Deny, None, NOT_BY_DEFAULT),
    ] {
        let mut rules = rules(vec![]);
        rules.entry("default".parse().expect("a name")).or_default().default = own;
        let index = index(node, vec![]).with(rules);
        assert_eq!(ruling(&index, &question(Verb::Request)), expect, "{node:?} {own:?}");
        // Who administrates is not for the namespace to say.
        let node = if node == Default::Allow { BY_DEFAULT } else { NOT_BY_DEFAULT };
        assert_eq!(ruling(&index, &question(Verb::Apply)), node);
        let elsewhere = Target::Function(name("shop/x"));
        assert_eq!(ruling(&index, &OwnedQuestion { target: elsewhere, ..question(Verb::Request) }), node);
    }
}

#[test]
fn a_trigger_reads_the_topics_of_its_namespace_and_others_by_their_owners_leave() {
    let reader =
        |namespace: &str| by(&format!("spiffe://weft.local/ns/{namespace}/trigger/bill"), question(Verb::Consume));
    let check = |index: &PolicyIndex, own: &str, foreign: &str| {
        assert_eq!(ruling(index, &reader("default")), own);
        assert_eq!(ruling(index, &reader("shop")), foreign);
    };
    for node in [Default::Allow, Default::Deny] {
        check(&index(node, vec![]), BY_DEFAULT, NOT_BY_DEFAULT);
        // The namespace's default is about what is called in it.
        let mut rules = rules(vec![]);
        rules.entry("default".parse().expect("a name")).or_default().default = Some(node);
        check(&index(Default::Deny, vec![]).with(rules), BY_DEFAULT, NOT_BY_DEFAULT);
        let leave = on(&[Verb::Consume], from_principals(&["spiffe://weft.local/ns/shop/trigger/bill"]));
        check(&index(node, vec![allow("default/a", leave)]), NO_ALLOW, ALLOWED);
        let whole = allow("weft-system/a", on(&[Verb::Consume], Rule::default()));
        check(
            &index(node, vec![whole]),
            "allowed: policy weft-system/a rule 0",
            "allowed: policy weft-system/a rule 0",
        );
        check(&index(node, vec![deny("default/d", on(&[Verb::Consume], Rule::default()))]), DENIED, DENIED);
    }
    assert_eq!(ruling(&index(Default::Allow, vec![]), &nobody(question(Verb::Consume))), NOT_BY_DEFAULT);
}

#[test]
fn audit_rules_that_match_are_noted_whatever_the_answer() {
    let audit = |name: &str, rule| policy(name, Action::Audit, vec![from_principals(&[OTHER]), rule]);
    let all = || {
        vec![
            audit("default/x", Rule::default()),
            audit("weft-system/y", from_principals(&[SHOP])),
            audit("default/z", on(&[Verb::Publish], Rule::default())),
        ]
    };
    let noted = ["policy weft-system/y rule 1", "policy default/x rule 1"];
    for more in [vec![], vec![deny("default/d", Rule::default())], vec![allow("default/a", from_principals(&[OTHER]))]]
    {
        let index = index(Default::Allow, [all(), more].concat());
        let audited = index.evaluate(question(Verb::Request).question()).audited;
        assert_eq!(audited.iter().map(ToString::to_string).collect::<Vec<_>>(), noted);
    }
    // What a DENY would take for a match, an AUDIT notes.
    let doubtful = audit("default/x", from(Source { principals: none_of(&[OTHER]), ..Source::default() }));
    let audited = index(Default::Allow, vec![doubtful]).evaluate(nobody(question(Verb::Request)).question()).audited;
    assert_eq!(audited.len(), 1);
    let many = (0..40).map(|at| audit(&format!("default/x{at}"), Rule::default())).collect();
    assert_eq!(index(Default::Allow, many).evaluate(question(Verb::Request).question()).audited.len(), 16);
}
