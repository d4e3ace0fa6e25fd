//! What became of an event that was published: the state at each trigger, its rule, its attempts, and the tree around it.

use serde_json::json;
use weft_tests::events::event;
use weft_tests::{Project, Reply, Sink, eventually, manifest};

use super::{DEV, deny, explain, page};

#[tokio::test]
async fn each_trigger_says_what_it_did_with_an_event() {
    let sink = Sink::answering(|_, _| Reply::status(500)).await;
    let slow = "delivery: { retry: 5, backoffDelay: PT600S, backoffMax: PT600S }";
    let text = manifest::function("hello", "hello", "")
        + &manifest::topic("orders", "")
        + &manifest::trigger("a-good", "orders", "function: hello")
        + &manifest::trigger("b-never", "orders", "function: hello, filters: [ { exact: { type: no } } ]")
        + &manifest::trigger("c-later", "orders", &format!("url: '{}', {slow}", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "order.created")).await;
    let explained = eventually("the event has come everywhere", async || {
        let explained = explain(&node, &["delivery", "1"]).await;
        let states = ["delivered", "filtered", "retrying"];
        let all =
            explained["deliveries"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned());
        all.eq(states.map(str::to_owned)).then_some(explained)
    })
    .await;
    assert_eq!(
        (&explained["event"]["topic"], &explained["event"]["principal"]),
        (&json!("default/orders"), &json!(DEV))
    );
    let deliveries = &explained["deliveries"];
    let good = &deliveries[0];
    assert_eq!((&good["trigger"], &good["target"]), (&json!("default/a-good"), &json!("function default/hello")));
    let attempt = &good["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["code"]), (&json!(200), &json!("OK")), "{good:#}");
    let decision = explain(&node, &[attempt["decision"].as_str().unwrap()]).await;
    assert_eq!(
        (&decision["kind"], &decision["verb"], &decision["via"]),
        (&json!("delivery"), &json!("deliver"), &json!("spiffe://weft.local/ns/default/trigger/a-good"))
    );
    assert_eq!(good["policy"]["deliver"]["verdict"], "allow", "{good:#}");
    assert_eq!(deliveries[1]["filter"], json!({ "result": "fail", "first_failing": "exact type=no" }));
    let later = &deliveries[2];
    assert_eq!((&later["attempts"][0]["status"], &later["next"]["attempt"]), (&json!(500), &json!(2)), "{later:#}");
    assert!(later["next"]["at"].as_str().unwrap().ends_with('Z'), "{later:#}");
    let page = page(&node, &["delivery", "1", "--source", explained["event"]["source"].as_str().unwrap()]).await;
    for expect in [
        "  delivered  default/a-good to function default/hello\n",
        "the filter fails at: exact type=no",
        "next: attempt 2, ",
    ] {
        assert!(page.contains(expect), "{expect:?} is not in\n{page}");
    }
    for words in [&["delivery", "2"][..], &["delivery", "1", "--source", "/elsewhere"]] {
        let done = node.weft(&[&["explain"], words].concat()).await;
        assert_eq!(done.code, 1, "{words:?}: {done:?}");
        assert!(done.stderr.contains("UNKNOWN_EVENT"), "{words:?}: {done:?}");
    }
}

#[tokio::test]
async fn a_refused_delivery_names_its_rule() {
    let text = manifest::function("hello", "hello", "")
        + &manifest::topic("orders", "")
        + &manifest::trigger("bill", "orders", "function: hello")
        + &deny("closed", DEV).replace("action: DENY", "action: DENY, targets: [ { function: hello } ]");
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "order.created")).await;
    node.settled("bill", 1).await;
    let explained = explain(&node, &["delivery", "1"]).await;
    let delivery = &explained["deliveries"][0];
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["code"]),
        (&json!("denied"), &json!("AUTHZ_DENY_RULE")),
        "{delivery:#}"
    );
    assert_eq!(delivery["policy"]["deliver"]["policy"]["deciding"], "policy default/closed rule 0", "{delivery:#}");
    let decision = explain(&node, &[delivery["attempts"][0]["decision"].as_str().unwrap()]).await;
    assert_eq!(decision["policy"]["deciding"], "policy default/closed rule 0", "{decision:#}");
}

#[tokio::test]
async fn the_tree_shows_what_led_to_what() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::topic("replies", "")
        + &manifest::trigger("answer", "orders", "function: replier, path: /event, reply: { topic: replies }");
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("7", "order")).await;
    node.settled("answer", 1).await;
    for (id, asked) in [("7", "/tree/asked"), ("reply-7", "/tree/led_to/0/asked")] {
        let explained = explain(&node, &["delivery", id, "--tree"]).await;
        let tree = &explained["tree"];
        assert_eq!(tree["event"]["id"], "7", "it begins at the beginning: {tree:#}");
        let child = &tree["led_to"][0];
        assert_eq!(
            (&child["event"]["id"], &child["by"], &child["role"]),
            (&json!("reply-7"), &json!("default/answer"), &json!("reply"))
        );
        assert_eq!(explained.pointer(asked), Some(&json!(true)), "{tree:#}");
    }
    let page = page(&node, &["delivery", "reply-7", "--tree"]).await;
    assert!(page.contains("\nTree\n  default/orders #1 order (id 7)\n    default/replies #1 "), "{page}");
}
