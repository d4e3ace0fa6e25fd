//! What is kept of a question is enough to ask it again.

use proptest::prelude::*;
use weft_functions::policy::{ConditionKey, Operation, Rule, Verb};

use super::given::*;
use super::random::{cases, config};
use crate::path::call::Target;
use crate::path::caller::Principal;
use crate::path::policy::{Default, Encoding, OwnedQuestion, PolicyIndex, Ruling};

fn kept(index: &PolicyIndex, question: &OwnedQuestion) -> OwnedQuestion {
    let encoding = index.encode(question.question());
    assert!(encoding.as_bytes().len() <= 256);
    Encoding::decode(encoding.as_bytes()).expect("decodes")
}

/// Whether less knowledge led to the same answer, be it by another rule, or to none.
fn is_sound(now: &Ruling, then: &Ruling) -> bool {
    *now == Ruling::Unknown || std::mem::discriminant(now) == std::mem::discriminant(then)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_kept_whole_decides_alike_and_what_was_not_decides_nothing_else(case in cases()) {
        let index = case.index();
        let (then, kept) = (index.evaluate(case.question.question()), kept(&index, &case.question));
        let now = index.evaluate(kept.question());
        if kept.is_whole() {
            prop_assert_eq!(now, then);
        } else {
            prop_assert!(is_sound(&now.ruling, &then.ruling), "{:?} {:?}", now, then);
        }
    }

    /// Policy may have changed meanwhile: what the new rules look at may not have been kept, and then nobody guesses.
    #[test]
    fn other_rules_find_the_same_or_nothing(case in cases(), other in cases()) {
        let (index, other) = (case.index(), other.index());
        let (then, now) = (other.evaluate(case.question.question()), other.evaluate(kept(&index, &case.question).question()));
        prop_assert!(is_sound(&now.ruling, &then.ruling), "{:?} {:?}", now.ruling, then.ruling);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = Encoding::decode(&bytes);
    }
}

#[test]
fn what_people_ask_for_is_kept_too() {
    let mut asked = question(Verb::Request);
    asked.caller.via = Some(Principal::Workload("spiffe://weft.local/ns/default/fn/front".parse().expect("an id")));
    let kept = kept(&index(Default::Allow, vec![]), &asked);
    assert!(kept.is_whole());
    assert_eq!(kept.caller, asked.caller);
    let (kept, asked) = (kept.head.expect("a head"), asked.head.expect("a head"));
    assert_eq!((kept.host, kept.method, kept.path), (asked.host, asked.method, asked.path));
}

/// Names are as long as most people's are not: what a delivery came through is not what falls out first.
#[test]
fn what_it_came_through_is_kept_of_long_names() {
    let trigger = format!("shop/{}", "t".repeat(63));
    let mut asked = question(Verb::Deliver);
    asked.trigger = Some(name(&trigger));
    asked.head.as_mut().expect("a head").path = format!("/{}", "p".repeat(200));
    let workload = |id: &str| Principal::Workload(id.parse().expect("an id"));
    for (via, expect) in [
        (Some(workload(&format!("spiffe://weft.local/ns/shop/trigger/{}", "t".repeat(63)))), true),
        (Some(workload("spiffe://other.example/ns/shop/trigger/ttt")), true),
        (Some(workload("spiffe://weft.local/ns/shop/fn/ttt")), true),
        (Some(asked.caller.principal.clone()), true),
        (Some(workload(&format!("spiffe://weft.local/ns/shop/fn/{}", "f".repeat(200)))), false),
        (None, true),
    ] {
        asked.caller.via = via.clone();
        let kept = kept(&index(Default::Allow, vec![]), &asked);
        assert_eq!((kept.caller.via.as_ref(), &kept.trigger), (via.as_ref().filter(|_| expect), &asked.trigger));
    }
    // A trigger that found no room itself stands for nobody.
    let (longest, elsewhere) = ("n".repeat(63), "m".repeat(63));
    asked.target = Target::Function(name(&format!("{longest}/{longest}")));
    for (namespace, trigger, expect) in [("shop", "t", true), (&*elsewhere, &*longest, false)] {
        let via = workload(&format!("spiffe://weft.local/ns/{namespace}/trigger/{trigger}"));
        (asked.trigger, asked.caller.via) = (Some(name(&format!("{namespace}/{trigger}"))), Some(via.clone()));
        let kept = kept(&index(Default::Allow, vec![]), &asked);
        assert_eq!((kept.trigger.is_some(), kept.caller.via), (expect, Some(via).filter(|_| expect)));
    }
}

#[test]
fn only_what_rules_look_at_is_kept_of_headers_and_claims() {
    let role = when(ConditionKey::Header("x-role".into()), any_of(&["admin"]));
    let claim = when(ConditionKey::AuthClaim(vec!["role".into()]), any_of(&["admin"]));
    let index = index(Default::Allow, vec![deny("default/a", role), deny("default/b", claim)]);
    let mut asked = with_claims(question(Verb::Request), serde_json::json!({ "role": "x", "secret": "s" }));
    let headers = &mut asked.head.as_mut().expect("a head").headers;
    headers.insert("x-role", "guest".parse().expect("a value"));
    headers.insert("cookie", "secret".parse().expect("a value"));
    let kept = kept(&index, &asked);
    assert!(kept.is_whole());
    assert_eq!(kept.head.as_ref().expect("a head").headers.len(), 1);
    let token = kept.caller.token.as_ref().expect("a token");
    assert_eq!((token.claims.len(), &*token.subject.text), (1, "corp/ann"));
}

#[test]
fn what_finds_no_room_is_marked_and_not_guessed() {
    let long = format!("/{}", "a/".repeat(200));
    let ends = to(Operation { paths: read_as(&any_of(&["*/a/"])), ..Operation::default() });
    let mut asked = question(Verb::Request);
    asked.head.as_mut().expect("a head").path = long.clone();
    let index = index(Default::Deny, vec![allow("default/a", ends)]);
    assert_eq!(ruling(&index, &asked), "allowed: policy default/a rule 0");
    let cut = kept(&index, &asked);
    assert!(!cut.is_whole());
    assert_eq!(ruling(&index, &cut), "unknown");
    let shown = cut.head.expect("a head").path;
    assert!(long.starts_with(shown.strip_suffix('…').expect("is cut")) && shown.len() > 100, "{shown}");
    // Rules that do not look at it are not disturbed.
    let by_id = self::index(Default::Deny, vec![allow("default/a", from_principals(&[SHOP]))]);
    assert_eq!(ruling(&by_id, &kept(&by_id, &asked)), "allowed: policy default/a rule 0");
    // A principal that finds no room is nobody in particular, and not anonymous.
    let endless = by(&format!("spiffe://weft.local/{}", "a".repeat(300)), question(Verb::Request));
    let excepted = self::index(
        Default::Deny,
        vec![allow("default/a", Rule::default()), deny("default/d", from_principals(&["*a"]))],
    );
    assert_eq!(ruling(&excepted, &kept(&excepted, &endless)), "unknown");
}

#[test]
fn claims_keep_what_they_are() {
    let claim = when(ConditionKey::AuthClaim(vec!["a".into(), "b".into()]), any_of(&["x"]));
    let index = index(Default::Allow, vec![deny("default/d", claim)]);
    let denied = "refused: policy default/d rule 0";
    for (claims, expect) in [
        (serde_json::json!({ "a": { "b": "x" } }), denied),
        (serde_json::json!({ "a": { "b": ["y", "x"] } }), denied),
        (serde_json::json!({ "a": { "b": "y" } }), "allowed: default"),
        (serde_json::json!({ "a": { "b": 7 } }), denied),
        (serde_json::json!({ "a": {} }), "allowed: default"),
        // What stands in the way of a claim is not kept.
        (serde_json::json!({ "a": "x" }), "unknown"),
    ] {
        let asked = with_claims(question(Verb::Request), claims.clone());
        assert_eq!(ruling(&index, &kept(&index, &asked)), expect, "{claims}");
    }
}
