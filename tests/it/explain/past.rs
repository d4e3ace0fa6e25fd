//! Decisions of the past: by the rules of then, whatever changed since, and after a restart if they were refused.

use serde_json::json;
use weft_tests::{Ask, Project, eventually, manifest};

use super::{DEV, deny, explain, page};

#[tokio::test]
async fn a_decision_resolves_by_the_rules_of_then() {
    let hello = manifest::function("hello", "hello", "");
    let project = Project::new(&(hello.clone() + &deny("closed", DEV)));
    let node = project.start().await;
    let refused = node.get("hello", "/a").await;
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("AUTHZ_DENIED")));
    let id = refused.decision().unwrap().to_owned();
    let before = explain(&node, &[&id]).await;
    assert_eq!(
        (&before["decision"], &before["verdict"], &before["code"]),
        (&json!(id), &json!("deny"), &json!("AUTHZ_DENY_RULE"))
    );
    assert_eq!(
        (&before["policy"]["deciding"], &before["call"]["status"]),
        (&json!("policy default/closed rule 0"), &json!(403))
    );
    assert_eq!((&before["identity"]["peer"], &before["identity"]["how"]), (&json!(DEV), &json!("dev")));

    project.write("app.yaml", &hello);
    let allowed = eventually("the policy is gone", async || {
        let answer = node.get("hello", "/a").await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    let after = explain(&node, &[&id]).await;
    for part in ["verdict", "code", "identity", "route", "policy", "revision", "limits"] {
        assert_eq!(after[part], before[part], "{part}");
    }
    assert_eq!(after["snapshot"]["version"], before["snapshot"]["version"]);
    let now = explain(&node, &[allowed.decision().unwrap()]).await;
    assert_eq!(
        (&now["verdict"], &now["code"], &now["call"]["end"]),
        (&json!("allow"), &json!("OK"), &json!("complete"))
    );
    assert!(now["snapshot"]["version"].as_u64() > after["snapshot"]["version"].as_u64(), "{now:#}");
    // Where a long line is broken depends on how long the call took.
    let page = page(&node, &[&id]).await.split_whitespace().collect::<Vec<_>>().join(" ");
    for expect in ["deny (AUTHZ_DENY_RULE): request of function default/hello ", &id, "answered 403", "app.yaml:"] {
        assert!(page.contains(expect), "{expect:?} is not in\n{page}");
    }
}

#[tokio::test]
async fn an_id_that_nobody_has_is_exit_1() {
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let node = project.start().await;
    let id = node.get("hello", "/").await.decision().unwrap().to_owned();
    explain(&node, &[&id]).await;
    let mut other = id.into_bytes();
    other[9] = if other[9] == b'0' { b'1' } else { b'0' };
    let other = String::from_utf8(other).unwrap();
    for id in ["d-00000000000000000000000000", &other, "d-nonsense", "d-../../node"] {
        let done = node.weft(&["explain", id]).await;
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{id}: {done:?}");
        assert!(done.stderr.starts_with("error: "), "{id}: {done:?}");
    }
}

#[tokio::test]
async fn a_refusal_resolves_after_a_restart_and_an_allowed_call_does_not() {
    let project =
        Project::new(&(manifest::function("hello", "hello", "") + &manifest::function("bad", "misbehave", "")));
    let node = project.start().await;
    let decision = |answer: weft_tests::Answer| answer.decision().unwrap().to_owned();
    let nowhere = decision(node.ask(Ask::get("/").host("none.localhost")).await);
    let trapped = decision(node.get("bad", "/trap").await);
    let allowed = decision(node.get("hello", "/").await);
    let before = explain(&node, &[&trapped]).await;
    node.stop().await;
    let node = project.start().await;
    let after = explain(&node, &[&trapped]).await;
    assert_eq!((&after["code"], &after["verdict"]), (&json!("FN_TRAP"), &json!("allow")), "{after:#}");
    for part in ["decision", "identity", "route", "policy", "asked"] {
        assert_eq!(after[part], before[part], "{part}");
    }
    assert_eq!(explain(&node, &[&nowhere]).await["code"], "ROUTE_NONE");
    let gone = node.weft(&["explain", &allowed]).await;
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stderr.contains("UNKNOWN_DECISION"), "{gone:?}");
}
