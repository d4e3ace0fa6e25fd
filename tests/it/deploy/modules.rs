//! New revisions and bad modules: callers never notice either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;
use weft_tests::{Ask, Node, Project, client, manifest};

use super::{module, refused, revision};

/// A component that is right in every way but that it traps when it is instantiated.
const TRAPS: &str = r#"(component
    (import "wasi:http/types@0.2.0" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $outparam))
    (core module $module
        (func $start unreachable)
        (start $start)
        (func (export "handle") (param i32 i32)))
    (core instance $instance (instantiate $module))
    (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
        (canon lift (core func $instance "handle")))
    (instance $handler (export "handle" (func $handle)))
    (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#;

/// Asks a function again and again; gives how often, once it is told to stop. Every answer must be a good one.
fn ask_all_the_time(node: &Node, function: &str) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, http, host) = (stop.clone(), node.http, format!("{function}.localhost"));
    let task = tokio::spawn(async move {
        let mut answers = 0;
        while !stopped.load(Ordering::Relaxed) {
            let answer = client::send(http, Ask::get("/").host(&host)).await.expect("an answer");
            assert_eq!(answer.status, 200, "answer {answers}: {}", answer.text());
            answers += 1;
        }
        answers
    });
    (stop, task)
}

#[tokio::test]
async fn traffic_moves_to_a_new_revision_without_a_failed_request() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    let said = node.weft(&["deploy", "front", &module("hello")]).await.ok();
    let url = format!("http://front.localhost:{}/", node.http.port());
    assert_eq!(said.stdout, format!("front-00001 serving at {url}\n"));
    assert!(node.get("front", "/").await.text().starts_with("hello from weft"));

    let (stop, asking) = ask_all_the_time(&node, "front");
    let said = node.weft(&["deploy", "front", &module("echo"), "--env", "A=1"]).await.ok();
    assert_eq!(said.stdout, format!("front-00002 serving at {url}\n"));
    assert_eq!(node.get("front", "/?env=A").await.json()["env"], "1", "traffic has moved when deploy returns");
    let said = node.weft(&["deploy", "front", &module("echo"), "--env", "A=2"]).await.ok();
    assert!(said.stdout.starts_with("front-00003 "), "{said:?}");
    // The same again is no new revision.
    let said = node.weft(&["deploy", "front", &module("echo"), "--env", "A=2"]).await.ok();
    assert!(said.stdout.starts_with("front-00003 "), "{said:?}");
    stop.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
    assert_eq!(node.get("front", "/?env=WEFT_REVISION").await.json()["env"], "front-00003");
}

#[tokio::test]
async fn a_bad_module_is_refused_with_what_is_wrong_and_the_old_revision_serves_on() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.weft(&["deploy", "front", &module("hello")]).await.ok();
    let (stop, asking) = ask_all_the_time(&node, "front");
    let wat = |text: &str| wat::parse_str(text).unwrap();
    for (name, bytes, expect) in [
        ("not-wasm", b"#!/bin/sh\necho hello\n".to_vec(), "the module is not wasm: its first bytes are 23 21 2f 62"),
        ("empty", Vec::new(), "the module is not wasm: its first bytes are missing (the file is empty)"),
        (
            "core",
            wat("(module)"),
            "the module is a core wasm module without an embedded component type, so its interfaces are unknown; \
             build a component: `cargo build --target wasm32-wasip2`",
        ),
        ("no-handler", wat("(component)"), "the component does not export wasi:http/incoming-handler@0.2"),
        (
            "import",
            wat(r#"(component (import "acme:db/sql@1.2.3" (instance)))"#),
            "the component imports acme:db/sql@1.2.3, which is not offered; offered are wasi:",
        ),
        ("traps", wat(TRAPS), "the module fails when it is instantiated: "),
    ] {
        let file = format!("{name}.wasm");
        project.write(&format!("../modules/{file}"), bytes);
        let path = project.path(&format!("../modules/{file}")).display().to_string();
        refused(&node, &["deploy", "front", &path], 1, &[expect]).await;
        assert_eq!(revision(&node, "front").await, "front-00001", "{name}");
        // As a new function it leaves nothing behind either.
        refused(&node, &["deploy", "other", &path], 1, &[expect]).await;
        assert_eq!(node.weft(&["get", "function", "other"]).await.code, 1, "{name}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
}

#[tokio::test]
async fn a_manifest_with_a_bad_module_names_its_line_and_changes_nothing() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    project.write("../more/bad.wasm", "no wasm");
    let text =
        manifest::topic("more", "") + &manifest::function("bad", "bad", "") + &manifest::function("good", "hello", "");
    project.write("../more/more.yaml", &text);
    let path = project.path("../more").display().to_string();
    let run =
        refused(&node, &["apply", "-f", &path], 1, &["more.yaml:10:17: ", "the module is not wasm", "1 mistake"]).await;
    assert!(run.stderr.contains(" 10 | spec: { module: ./bad.wasm }"), "{run:?}");
    assert!(node.weft(&["get", "all"]).await.ok().stdout.contains("orders"));
    for (kind, name) in [("topic", "more"), ("function", "good"), ("function", "bad")] {
        assert_eq!(node.weft(&["get", kind, name]).await.code, 1, "{kind} {name} is there");
    }
}

#[tokio::test]
async fn a_missing_module_is_an_unreadable_file() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    refused(&node, &["deploy", "front", "./none.wasm"], 2, &["none.wasm", "no such file or directory"]).await;
    refused(&node, &["deploy", "front", "oci://example/x"], 2, &["not in this version"]).await;
}
