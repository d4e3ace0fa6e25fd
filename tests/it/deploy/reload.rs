//! The watched folder: each good change is one snapshot, a bad one changes nothing and says why.

use weft_tests::node::Options;
use weft_tests::{Project, eventually, manifest};

use super::revision;

#[tokio::test]
async fn a_changed_manifest_is_a_new_snapshot() {
    let project = Project::new(&manifest::function("front", "echo", "env: { A: one }"));
    let node = project.start().await;
    let snapshot = async || {
        node.ask_admin(weft_tests::Ask::get("/api/v1/node")).await.json()["snapshot"].as_u64().expect("a number")
    };
    let before = snapshot().await;
    project.write("app.yaml", manifest::function("front", "echo", "env: { A: two }"));
    node.logged(&["reloaded: 1 changed, 0 added, 0 removed"]).await;
    assert_eq!(node.get("front", "/?env=A").await.json()["env"], "two");
    assert_eq!((revision(&node, "front").await, snapshot().await), ("front-00002".to_owned(), before + 1));

    // Several files at once are one snapshot; folders below count, hidden ones and what tools made do not.
    project.write("below/deep/two.yml", manifest::topic("two", ""));
    for ignored in [".hidden/x.yaml", "target/x.yaml", "node_modules/x.yaml", "notes.txt"] {
        project.write(ignored, "this is: [no manifest");
    }
    node.logged(&["reloaded: 0 changed, 1 added, 0 removed"]).await;
    assert_eq!(node.resource("topic", "two").await["status"]["source"], "below/deep/two.yml:2");
    project.remove("app.yaml");
    node.logged(&["reloaded: 0 changed, 0 added, 1 removed"]).await;
    assert_eq!(node.get("front", "/").await.status, 404);
    assert_eq!(node.ask(weft_tests::events::structured("two", &weft_tests::events::event("1", "t"))).await.status, 202);
}

#[tokio::test]
async fn a_rebuilt_module_is_a_new_revision() {
    let project = Project::new(&manifest::function("front", "hello", ""));
    let node = project.start().await;
    let other = std::fs::read(weft_tests::modules::guest("echo")).unwrap();
    project.write("hello.wasm", other);
    node.logged(&["reloaded: 1 changed"]).await;
    assert_eq!(revision(&node, "front").await, "front-00002");
    assert_eq!(node.get("front", "/").await.json()["method"], "GET");
    // A module that a compiler has only half written leaves the old one serving.
    project.write("hello.wasm", b"\0asm half");
    node.logged(&["app.yaml:5:17: the module is not wasm: its first bytes are 00 61 73 6d 20 68"]).await;
    assert_eq!(node.get("front", "/").await.json()["method"], "GET");
}

#[tokio::test]
async fn a_bad_change_says_every_mistake_and_keeps_what_was() {
    let good = manifest::function("front", "hello", "") + &manifest::topic("orders", "");
    let project = Project::new(&good);
    let node = project.start().await;
    project.write("app.yaml", manifest::function("front", "hello", "scael: { idle: 5s }"));
    project.write("more.yaml", manifest::trigger("out", "oders", "function: front"));
    node.logged(&["app.yaml:5:", "unknown key `scael` in `spec`: did you mean `scale`?"]).await;
    node.logged(&["was not reloaded"]).await;
    assert_eq!(node.get("front", "/").await.status, 200);
    assert_eq!(node.weft(&["get", "topic", "orders"]).await.code, 0);

    project.write("app.yaml", &good);
    node.logged(&["more.yaml:5:", "there is no topic oders: did you mean `orders`?"]).await;
    project.write("more.yaml", manifest::trigger("out", "orders", "function: front"));
    node.logged(&["reloaded: 0 changed, 1 added, 0 removed"]).await;
    eventually("the trigger", async || (node.weft(&["get", "trigger", "out"]).await.code == 0).then_some(())).await;
}

#[tokio::test]
async fn a_bad_folder_does_not_start() {
    let project = Project::new(&manifest::function("front", "hello", "scale: { min: -1 }"));
    project.write("more.yaml", manifest::document("Topik", "orders", ""));
    let failed = project.start_with(Options::default()).await.err().expect("a refusal");
    assert_eq!(failed.code, 1, "{failed}");
    assert_eq!(failed.stdout, "");
    for mistake in [
        "app.yaml:5:",
        "`spec.scale.min` must be from 0 to 1000",
        "more.yaml:3:7: unknown kind `Topik`: did you mean `Topic`?",
        " 3 | kind: Topik",
    ] {
        assert!(failed.stderr.contains(mistake), "{mistake}: {failed}");
    }
}

#[tokio::test]
async fn a_topic_that_vanished_from_the_folder_keeps_its_events() {
    let topic = manifest::topic("orders", "");
    let project = Project::new(&(topic.clone() + &manifest::topic("other", "")));
    let node = project.start().await;
    node.publish("orders", &weft_tests::events::event("1", "t")).await;
    project.write("app.yaml", manifest::topic("other", ""));
    node.logged(&["reloaded: 0 changed, 0 added, 1 removed"]).await;
    assert_eq!(
        node.ask(weft_tests::events::structured("orders", &weft_tests::events::event("2", "t"))).await.status,
        404
    );
    project.write("app.yaml", topic + &manifest::topic("other", ""));
    node.logged(&["reloaded: 0 changed, 1 added, 0 removed"]).await;
    assert_eq!(node.publish("orders", &weft_tests::events::event("2", "t")).await, 2);
    assert_eq!(node.events("orders").await.len(), 2);
}
