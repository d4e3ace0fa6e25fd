//! Every resource has one owner: a file of the watched folder, or the API. Neither takes what is the other's.

use weft_tests::node::Options;
use weft_tests::{Project, manifest};

use super::{module, refused, revision};

#[tokio::test]
async fn what_a_file_owns_only_the_file_changes() {
    let project = Project::new(&manifest::topic("orders", ""));
    project.write("functions/front.yaml", manifest::function("front", "hello", ""));
    let node = project.start().await;
    let owner = "front.yaml:2";
    refused(&node, &["deploy", "front", &module("echo")], 1, &[owner, "OWNED"]).await;
    refused(&node, &["delete", "function", "front"], 1, &[owner, "OWNED"]).await;
    project.write("../more/more.yaml", manifest::function("front", "echo", "") + &manifest::topic("more", ""));
    let more = project.path("../more/more.yaml").display().to_string();
    for words in [["apply", "-f", &more].as_slice(), &["apply", "-f", &more, "--dry-run"]] {
        refused(&node, words, 1, &[owner, "OWNED"]).await;
    }
    assert_eq!(revision(&node, "front").await, "front-00001");
    assert!(node.get("front", "/").await.text().starts_with("hello from weft"));
    assert_eq!(node.weft(&["get", "topic", "more"]).await.code, 1, "an apply is all or nothing");
    let resource = node.resource("function", "front").await;
    assert_eq!(
        (&resource["status"]["owner"], &resource["status"]["source"]),
        (&"file".into(), &"functions/front.yaml:2".into())
    );
}

#[tokio::test]
async fn what_the_api_owns_survives_a_restart() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.weft(&["deploy", "front", &module("hello")]).await.ok();
    node.weft(&["deploy", "front", &module("echo"), "--env", "A=kept"]).await.ok();
    let stdin = manifest::topic("extra", "durability: relaxed") + &manifest::trigger("out", "extra", "function: front");
    let applied = node.weft_with_input(&["apply", "-f", "-"], stdin.as_bytes()).await.ok();
    assert!(applied.stdout.contains("created"), "{applied:?}");
    let before = node.weft(&["get", "all", "-o", "json"]).await.ok().json();
    node.stop().await;

    let node = project.start().await;
    let after = node.weft(&["get", "all", "-o", "json"]).await.ok().json();
    let specs = |all: &serde_json::Value| -> Vec<_> {
        let items = all["items"].as_array().cloned().unwrap();
        items
            .iter()
            .map(|item| {
                (item["kind"].clone(), item["metadata"].clone(), item["spec"].clone(), item["status"]["owner"].clone())
            })
            .collect()
    };
    assert_eq!(specs(&before), specs(&after));
    assert_eq!(node.get("front", "/?env=A").await.json()["env"], "kept");
    assert_eq!(revision(&node, "front").await, "front-00002");
    assert!(node.log_lines(&["compiling default/front"]).is_empty(), "the artifact was kept: {}", node.log());
    node.weft(&["deploy", "front", &module("hello")]).await.ok();
    assert_eq!(revision(&node, "front").await, "front-00003", "numbers go on where they were");
}

#[tokio::test]
async fn a_file_does_not_take_what_the_api_owns() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.weft(&["deploy", "front", &module("hello")]).await.ok();
    project.write("front.yaml", manifest::function("front", "echo", ""));
    node.logged(&["front.yaml:2", "weft delete function front -n default"]).await;
    assert!(node.get("front", "/").await.text().starts_with("hello from weft"));
    node.stop().await;
    let failed = project.start_with(Options::default()).await.err().expect("the folder is refused at a start too");
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("weft delete function front -n default"), "{failed}");
}

#[tokio::test]
async fn what_others_name_is_not_deleted_under_them() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.weft(&["deploy", "front", &module("replier")]).await.ok();
    let text = manifest::topic("mine", "") + &manifest::trigger("out", "mine", "function: front");
    node.weft_with_input(&["apply", "-f", "-"], text.as_bytes()).await.ok();
    refused(&node, &["delete", "topic", "mine"], 1, &["trigger default/out", "IN_USE"]).await;
    refused(&node, &["delete", "function", "front"], 1, &["trigger default/out", "IN_USE"]).await;
    for (kind, name) in [("trigger", "out"), ("topics", "mine"), ("Function", "front")] {
        let said = node.weft(&["delete", kind, name]).await.ok();
        assert!(said.stdout.starts_with("deleted ") && said.stdout.contains(&format!("default/{name}")), "{said:?}");
    }
    assert_eq!(node.get("front", "/").await.status, 404);
    refused(&node, &["delete", "function", "front"], 1, &["there is no function default/front", "NOT_FOUND"]).await;
}
