//! Questions and what is known around them, row by row: what an explanation says of the target, the caller and the rules.

use serde_json::{Value, json};
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;

use super::*;
use crate::path::call::{Outside, Reach};
use crate::path::caller::{Caller, Proof};
use crate::path::outcome::{Failure, Reason};
use crate::path::policy::OwnedHead;

fn question(verb: Verb, target: Target, caller: Caller) -> OwnedQuestion {
    OwnedQuestion {
        verb,
        target,
        caller,
        head: Some(OwnedHead {
            host: "a.example".into(),
            method: "POST".into(),
            path: "/a".into(),
            ..OwnedHead::default()
        }),
        event: None,
        trigger: None,
        copy: false,
        known: None,
    }
}

fn outside(owner_kind: Kind, reach: Result<Reach, Failure>) -> Target {
    let owner = "default/pay".parse().expect("a name");
    Target::Outside(Outside { host: "bank.example".into(), port: 443, owner_kind, owner, reach })
}

fn situation(question: Option<&OwnedQuestion>, since_ms: Option<u64>) -> Situation<'_> {
    Situation { now_ms: 1_500, number: 1, since_ms, question, facts: None }
}

fn shop() -> Caller {
    Caller::direct(workload(SHOP), Proof::Mtls)
}

#[tokio::test]
async fn each_verb_and_target_has_its_words() {
    let scene = Scene::new(&topic("orders")).await;
    let snapshot = scene.plane.mesh.snapshot();
    let name = || "default/orders".parse().expect("a name");
    let unlisted =
        Failure::hidden(Reason::EgressDenied, "bank.example:443 is not in allowHosts of function default/pay");
    let nowhere = Failure::hidden(Reason::RouteNone, "nothing is called so");
    for (verb, target, kind, matched, verdict, code) in [
        (Verb::Publish, Target::Topic(name()), "event", json!(["host", "path"]), "allow", "OK"),
        (Verb::Request, Target::Function(name()), "request", json!(["host"]), "no_route", "ROUTE_NONE"),
        (Verb::Deliver, Target::Function(name()), "delivery", json!(["trigger"]), "no_route", "ROUTE_NONE"),
        (Verb::Egress, outside(Kind::Function, Ok(Reach::Public)), "egress", json!(["allowHosts"]), "allow", "OK"),
        (
            Verb::Egress,
            outside(Kind::Function, Err(unlisted)),
            "egress",
            json!(["allowHosts"]),
            "deny",
            "EGRESS_DENIED",
        ),
        (Verb::Deliver, outside(Kind::Trigger, Ok(Reach::Public)), "delivery", json!(["allowHosts"]), "allow", "OK"),
        (Verb::Read, Target::Namespace("default".parse().expect("a name")), "admin", json!(["path"]), "allow", "OK"),
        (Verb::Request, Target::Nowhere(nowhere), "request", json!([]), "no_route", "ROUTE_NONE"),
    ] {
        let question = question(verb, target, shop());
        let explained = json!(situation(Some(&question), Some(500)).foreseen(&snapshot));
        let of = |pointer: &str| explained.pointer(pointer).cloned().unwrap_or_default();
        let found = (of("/kind"), of("/route/matched"), of("/verdict"), of("/code"));
        assert_eq!(found, (json!(kind), matched, json!(verdict), json!(code)), "{question:?}");
        assert_eq!((of("/verb"), of("/snapshot/age_ms")), (json!(verb.as_str()), json!(1_000)));
        assert_eq!(of("/why").is_null(), verdict == "allow", "who is refused is told why: {explained}");
    }
}

#[tokio::test]
async fn who_called_is_told_as_it_was_proven() {
    let ann: Caller = Caller { how: Proof::Jwt, ..Caller::nobody() };
    let run = Caller::run_here(WEAK.parse().expect("an id"), workload(SHOP), workload(SHOP));
    for (caller, expect) in [
        (shop(), json!({ "peer": SHOP, "user": null, "origin": SHOP, "via": [], "how": "mtls" })),
        (run, json!({ "peer": WEAK, "user": null, "origin": SHOP, "via": [SHOP], "how": "node" })),
        (Caller::nobody(), json!({ "peer": null, "user": null, "origin": null, "via": [], "how": "none" })),
        (ann, json!({ "peer": null, "user": null, "origin": null, "via": [], "how": "jwt" })),
    ] {
        let question = question(Verb::Request, Target::Function("default/a".parse().expect("a name")), caller);
        let scene = fixture::snapshot(1, crate::path::policy::Default::Allow, "");
        assert_eq!(json!(situation(Some(&question), None).foreseen(&scene))["identity"], expect);
    }
}

#[tokio::test]
async fn what_has_nearly_that_name_is_shown() {
    let elsewhere =
        |namespace: &str, name: &str| topic(name).replace("name: ", &format!("namespace: {namespace}, name: "));
    let many: String = ["b", "c", "d", "e", "f", "g"].iter().map(|namespace| elsewhere(namespace, "many")).collect();
    let scene =
        Scene::new(&(topic("orders") + &elsewhere("shop", "orders") + &elsewhere("shop", "letters") + &many)).await;
    let losers = |name: &str| {
        let explained = scene.request(&format!("http://topics.localhost/{name}"), SHOP);
        let losers = explained["route"]["losers"].as_array().cloned().unwrap_or_default();
        let text = |loser: &Value| format!("{}: {}", loser["name"].as_str().unwrap(), loser["why"].as_str().unwrap());
        losers.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(losers("default/orders"), ["topic shop/orders: namespace shop != default"]);
    assert_eq!(
        losers("default/letters"),
        ["topic shop/letters: namespace shop != default"],
        "of what is not there, too"
    );
    assert!(losers("default/none").is_empty());
    assert_eq!(losers("a/many").len(), 5, "so many and no more");
}

#[tokio::test]
async fn what_is_not_known_any_more_is_said_and_not_guessed() {
    let scene = Scene::new(&(topic("orders") + &policies())).await;
    let (_, explained) = scene.publish(WEAK).await;
    let id: DecisionId = explained["decision"].as_str().expect("an id").parse().expect("an id");
    let kept = scene.plane.mesh.records.kept(id).expect("kept");
    let question = Encoding::decode(&kept.inputs).expect("a question");
    let snapshot = scene.plane.mesh.snapshot();
    let changed = Scene::new(&(topic("orders") + &policies().replace(SHOP, WEAK))).await.plane.mesh.snapshot();
    for (asked, rules, note, steps) in [
        (Some(&question), Some(&snapshot), None, true),
        (Some(&question), Some(&changed), Some("not everything that the rules look at was kept"), true),
        (Some(&question), None, Some("whose rules are not kept any more"), false),
        (None, Some(&snapshot), Some("who asked for what is not known any more"), false),
    ] {
        let explained = json!(situation(asked, None).remembered(id, &kept, rules.map(|rules| &**rules)));
        let told = explained["policy"]["note"].as_str();
        assert!(
            told.is_some() == note.is_some() && told.unwrap_or_default().contains(note.unwrap_or_default()),
            "{told:?}"
        );
        assert_eq!(
            explained["policy"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
            steps,
            "{explained:#}"
        );
        // The verdict is what was recorded, whatever the rules say now.
        assert_eq!((&explained["verdict"], &explained["code"]), (&json!("deny"), &json!("AUTHZ_NO_ALLOW")));
    }
}
