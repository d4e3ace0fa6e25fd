//! What an explanation says.

use weft_functions::manifest::Kind;
use weft_functions::policy::{Action, ConditionKey, Operation, Rule, Source, Verb};

use super::given::*;
use crate::path::policy::{Default, OwnedQuestion, PolicyIndex, Step, explain};
use crate::path::snapshot::Snapshot;

/// The steps as lines: phase, policy and rule, whether it matches, why.
fn steps(index: &PolicyIndex, question: &OwnedQuestion) -> Vec<String> {
    let explanation = explain(&Snapshot::of_policy(1, index.clone()), question.question());
    assert_eq!(explanation.ruling, index.evaluate(question.question()).ruling);
    assert!(!explanation.exists);
    explanation.steps.iter().map(line).collect()
}

fn line(step: &Step) -> String {
    let Step { phase, policy, rule, source, matches, why } = step;
    let rule = rule.map_or("-".to_owned(), |rule| rule.to_string());
    let matches = matches.map_or("?", |matches| if matches { "yes" } else { "no" });
    let source = source.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!("{} {} {rule} {source} {matches}: {why}", phase.as_str(), policy.as_deref().unwrap_or("-"))
}

#[test]
fn every_rule_that_was_asked_and_why() {
    let rules = vec![
        from_principals(&[OTHER]),
        on(&[Verb::Publish], Rule::default()),
        from_principals(&[SHOP]),
        Rule::default(),
    ];
    let index = index(
        Default::Allow,
        vec![
            deny("weft-system/ban", from(Source { namespaces: any_of(&["evil"]), ..Source::default() })),
            policy("default/watch", Action::Audit, vec![Rule::default()]),
            policy("default/may", Action::Allow, rules),
            of(&[(Kind::Function, "mailing")], deny("default/mail", Rule::default())),
        ],
    );
    let ban = "deny weft-system/ban 0 ban.yaml:1 no: namespace default is not in namespaces";
    let watch = "audit default/watch 0 watch.yaml:1 yes: it matches";
    let other = format!("allow default/may 0 may.yaml:1 no: principal {SHOP} is not in principals");
    assert_eq!(
        steps(&index, &question(Verb::Request)),
        [ban, watch, &other, "allow default/may 2 may.yaml:1 yes: it matches"]
    );
}

#[test]
fn the_default_and_policies_without_rules_are_steps() {
    let none = "allow default/none - none.yaml:1 no: it has no rules, so it allows nobody";
    assert_eq!(
        steps(&index(Default::Allow, vec![policy("default/none", Action::Allow, vec![])]), &question(Verb::Request)),
        [none]
    );
    let default =
        |word| format!("default - - - yes: no ALLOW policy selects this target and verb, and the default is {word}");
    assert_eq!(steps(&index(Default::Allow, vec![]), &question(Verb::Request)), [default("allow")]);
    assert_eq!(steps(&index(Default::Deny, vec![]), &question(Verb::Request)), [default("deny")]);
}

#[test]
fn the_first_field_that_fails_in_words() {
    let check = |rule: Rule, question: OwnedQuestion, expect: &str| {
        let steps = steps(&index(Default::Deny, vec![allow("default/a", rule)]), &question);
        assert_eq!(steps, [format!("allow default/a 0 a.yaml:1 {expect}")]);
    };
    let header = |matches| when(ConditionKey::Header("x-role".into()), matches);
    let claim = |matches| when(ConditionKey::AuthClaim(vec!["org".into(), "role".into()]), matches);
    let ask = || question(Verb::Request);
    check(
        header(any_of(&["admin"])),
        ask(),
        "no: there is no header x-role, and values of request.headers[x-role] wants one",
    );
    let mut guest = ask();
    guest.head.as_mut().expect("a head").headers.insert("x-role", "guest".parse().expect("a value"));
    check(
        header(any_of(&["admin"])),
        guest.clone(),
        "no: header x-role guest is not in values of request.headers[x-role]",
    );
    check(header(none_of(&["guest"])), guest, "no: header x-role guest is in notValues of request.headers[x-role]");
    let mut odd = ask();
    let value = http::HeaderValue::from_bytes(b"\xff").expect("a value");
    odd.head.as_mut().expect("a head").headers.insert("x-role", value);
    check(
        header(any_of(&["*"])),
        odd,
        "no: header x-role is not text that can be compared, so values of request.headers[x-role] never matches in an ALLOW",
    );
    let seven = with_claims(ask(), serde_json::json!({ "org": { "role": 7 } }));
    check(
        claim(any_of(&["*"])),
        seven,
        "no: claim org.role is not text that can be compared, so values of request.auth.claims[org][role] never matches in an ALLOW",
    );
    check(
        claim(none_of(&["x"])),
        ask(),
        "no: there is no claim org.role, so notValues of request.auth.claims[org][role] cannot be told",
    );
    let not = from(Source { principals: none_of(&["*/sa/shop"]), ..Source::default() });
    check(not, ask(), &format!("no: principal {SHOP} is in notPrincipals"));
    check(from_principals(&[SHOP]), nobody(ask()), "no: there is no principal, and principals wants one");
    let types = to(Operation { types: any_of(&["a"]), ..Operation::default() });
    check(types, unread(question(Verb::Publish)), "?: attribute type is not known, and types depends on it");
    let mut several = from_principals(&[OTHER]);
    several.from.push(Source { origins: any_of(&[OTHER]), ..Source::default() });
    check(
        several,
        ask(),
        &format!(
            "no: none of the 2 entries of from: principal {SHOP} is not in principals; origin {SHOP} is not in origins"
        ),
    );
}

#[test]
fn sources_elsewhere_are_a_denial() {
    let mut rules = rules(vec![]);
    rules.entry("default".parse().expect("a name")).or_default().source_prefixes =
        vec!["/bank".parse().expect("a prefix")];
    let index = index(Default::Allow, vec![]).with(rules);
    let expect = "deny - - - yes: source /shop is under none of the sourcePrefixes of namespace default";
    assert_eq!(steps(&index, &question(Verb::Publish)), [expect]);
}

#[test]
fn an_explanation_has_an_end() {
    let many = (0..400).map(|at| policy(&format!("default/p{at}"), Action::Deny, vec![from_principals(&[OTHER]); 2]));
    let index = index(Default::Deny, many.chain([allow("default/a", Rule::default())]).collect());
    let explanation = explain(&Snapshot::of_policy(1, index), question(Verb::Request).question());
    assert_eq!((explanation.steps.len(), explanation.omitted), (501, 300));
    assert_eq!(explanation.steps.last().map(|step| step.matches), Some(Some(true)));
}
