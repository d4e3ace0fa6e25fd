//! The commands that people type and programs run: exit codes, tables, JSON, and what each says when it fails.

use serde_json::{Value, json};
use weft_tests::events::event_with;
use weft_tests::sink::Nobody;
use weft_tests::{Node, Project, Sink, eventually, manifest};

use super::refused;

fn shop(sink: &Sink) -> String {
    manifest::function("echo", "echo", "env: { A: '1' }")
        + &manifest::topic("orders", "")
        + &manifest::trigger(
            "out",
            "orders",
            &format!("filters: [ {{ exact: {{ type: order }} }} ], url: '{}'", sink.url("/")),
        )
        + &manifest::policy(
            "open",
            "action: ALLOW, rules: [ { to: [ { operation: { verbs: [ request ] } } ] } ], targets: [ { function: echo } ]",
        )
}

async fn lines(node: &Node, words: &[&str]) -> Vec<Vec<String>> {
    let run = node.weft(words).await.ok();
    run.stdout.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn get_lists_what_there_is() {
    let sink = Sink::start().await;
    let project = Project::new(&shop(&sink));
    let node = project.start().await;
    node.publish("orders", &event_with("1", "order", json!(1))).await;
    node.settled("out", 1).await;
    let url = format!("http://echo.localhost:{}/", node.http.port());
    for kind in ["functions", "function", "FUNCTION"] {
        let table = lines(&node, &["get", kind]).await;
        assert_eq!(table[0], ["NAME", "REVISION", "READY", "INSTANCES", "CALLS", "URL"]);
        assert_eq!(table[1], ["echo", "echo-00001", "true", "0", "0", &url]);
    }
    let triggers = lines(&node, &["get", "Triggers"]).await;
    let row = ["out", "orders", &sink.url("/"), "1", "1", "0", "0", "0"];
    assert_eq!(triggers[1], row, "{triggers:?}");
    let topic = node.weft(&["get", "topic", "orders", "-o", "json"]).await.ok().json();
    assert_eq!((&topic["kind"], &topic["status"]["next"]), (&"Topic".into(), &"2".into()), "{topic}");
    let policies = node.weft(&["-o", "json", "get", "policies"]).await.ok().json();
    assert_eq!(policies["items"][0]["spec"]["action"], "ALLOW", "{policies}");
    assert_eq!(
        node.weft(&["get", "functions", "-n", "nowhere", "-o", "json"]).await.ok().json(),
        json!({ "items": [] })
    );

    refused(&node, &["get", "function", "none"], 1, &["no function default/none", "NOT_FOUND", "weft get all"]).await;
    refused(&node, &["get", "gadgets"], 2, &["gadgets"]).await;
}

#[tokio::test]
async fn describe_says_how_a_resource_is_doing() {
    let sink = Sink::start().await;
    let project = Project::new(&shop(&sink));
    let node = project.start().await;
    assert_eq!(node.get("echo", "/").await.status, 200);
    let function = node.weft(&["describe", "function", "echo"]).await.ok().stdout;
    for text in ["echo-00001", "app.yaml:2", "64Mi", "30s"] {
        assert!(function.contains(text), "{text}: {function}");
    }
    let trigger = node.weft(&["describe", "trigger", "out"]).await.ok().stdout;
    for text in ["default/orders", &sink.url("/"), "exponential"] {
        assert!(trigger.contains(text), "{text}: {trigger}");
    }
    let json = node.weft(&["describe", "topic", "orders", "-o", "json"]).await.ok().json();
    assert_eq!(json["status"]["triggers"], json!(["out"]), "{json}");
    refused(&node, &["describe", "topic", "none"], 1, &["NOT_FOUND"]).await;
}

#[tokio::test]
async fn invoke_is_a_call_like_any_other() {
    let sink = Sink::start().await;
    let project = Project::new(&shop(&sink));
    let node = project.start().await;
    let seen: Value = node.weft(&["invoke", "echo", "/a?b=c", "-H", "x-mine: 1", "-d", "{\"n\":1}"]).await.ok().json();
    assert_eq!((&seen["method"], &seen["path"], &seen["query"]), (&"POST".into(), &"/a".into(), &"b=c".into()));
    assert_eq!(seen["body"], "{\"n\":1}");
    assert!(seen["headers"].to_string().contains("x-mine"), "{seen}");
    let piped = node.weft_with_input(&["invoke", "default/echo", "/?raw", "-d", "-"], b"from a pipe").await.ok();
    assert_eq!(piped.stdout, "from a pipe");
    let head = node.weft(&["invoke", "echo", "/?raw", "-X", "PUT", "-i", "-d", "x"]).await.ok().stdout;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\n") && head.contains("x-weft-decision: d-") && head.ends_with("\n\nx"),
        "{head}"
    );
    let json = node.weft(&["invoke", "echo", "/?status=404&raw", "-o", "json"]).await;
    assert_eq!((json.code, &json.json()["status"]), (1, &404.into()), "{json:?}");
    assert!(json.json()["decision"].as_str().is_some_and(|id| id.starts_with("d-")));

    let failed = node.weft(&["invoke", "echo", "/?status=500&raw", "-d", "oh"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (1, "oh"));
    assert!(failed.stderr.contains("the function answered 500") && failed.stderr.contains("decision d-"), "{failed:?}");
    refused(&node, &["invoke", "none"], 1, &["ROUTE_NONE", "decision d-", "weft get all"]).await;
    refused(&node, &["invoke", "echo", "no-slash"], 2, &["is not a path: write /no-slash"]).await;
}

#[tokio::test]
async fn publish_and_tail_are_two_ends_of_a_topic() {
    let sink = Sink::start().await;
    let project = Project::new(&shop(&sink));
    let node = project.start().await;
    let words = ["publish", "orders", "--type", "order", "--source", "/cli", "--id", "7", "--subject", "tea", "-d"];
    let said = node.weft(&[words.as_slice(), &["{\"n\": 1}"]].concat()).await.ok();
    assert!(said.stdout.contains("accepted orders #1") && said.stdout.contains("id 7"), "{said:?}");
    let again = node.weft(&[words.as_slice(), &["{\"n\": 1}", "-o", "json"]].concat()).await.ok().json();
    assert_eq!(again, json!({ "accepted": [{ "id": "7", "source": "/cli", "sequence": "1", "duplicate": true }] }));
    refused(&node, &[words.as_slice(), &["{\"n\": 2}"]].concat(), 1, &["EVENT_CONFLICT", "decision d-"]).await;
    refused(&node, &["publish", "none", "--type", "t"], 1, &["ROUTE_NONE"]).await;
    refused(&node, &["publish", "orders"], 2, &["--type"]).await;
    refused(&node, &["publish", "orders", "--type", " "], 1, &["EVENT_INVALID", "attribute `type`: must not be blank"])
        .await;

    let file = br#"[{"specversion":"1.0","id":"a","source":"/f","type":"order"},{"specversion":"1.0","id":"b","source":"/f","type":"other"}]"#;
    let batch = node.weft_with_input(&["publish", "orders", "-f", "-", "-o", "json"], file).await.ok().json();
    assert_eq!(batch["accepted"][1]["sequence"], "3", "{batch}");
    project.write("../event.json", r#"{"specversion":"1.0","id":"c","source":"/f","type":"order","data":"x"}"#);
    node.weft(&["publish", "orders", "-f", "../event.json"]).await.ok();
    let counts = node.settled("out", 4).await;
    assert_eq!((counts.in_state("delivered"), counts.in_state("filtered")), (3, 1));

    let tail = node.weft(&["tail", "orders", "--from", "beginning", "--limit", "4", "-o", "json"]).await.ok();
    let entries: Vec<Value> = tail.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = entries.iter().map(|entry| entry["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["7", "a", "b", "c"]);
    assert_eq!((&entries[0]["event"]["subject"], &entries[0]["event"]["data"]), (&"tea".into(), &json!({ "n": 1 })));
    let people = node.weft(&["tail", "orders", "--from", "2", "--limit", "1"]).await.ok().stdout;
    assert!(people.starts_with("#2  ") && people.contains("order  /f  id=a"), "{people}");
    refused(&node, &["tail", "none", "--limit", "1"], 1, &["no topic default/none"]).await;
}

#[tokio::test]
async fn tail_waits_for_what_comes() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.publish("orders", &event_with("old", "t", json!(1))).await;
    let words = ["tail", "orders", "--limit", "1", "-o", "json"];
    let tail = node.weft(&words);
    // New events until one is seen: there is no telling when the stream has begun.
    let mut number = 0;
    let publishing = eventually("the end of tail", async || {
        number += 1;
        node.publish("orders", &event_with(&format!("new-{number}"), "t", json!(number))).await;
        None::<()>
    });
    let run = tokio::select! { run = tail => run.ok(), () = publishing => unreachable!() };
    assert!(run.json()["event"]["id"].as_str().is_some_and(|id| id.starts_with("new-")), "{run:?}");
}

#[tokio::test]
async fn apply_shows_what_it_would_do_and_then_does_it() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    project.write("../more/one.yaml", manifest::function("front", "echo", ""));
    project
        .write("../more/two.yaml", manifest::topic("more", "") + &manifest::trigger("out", "more", "function: front"));
    let more = project.path("../more").display().to_string();
    let dry = node.weft(&["apply", "-f", &more, "--dry-run"]).await.ok();
    let created =
        ["created Function default front front-00001", "created Topic default more -", "created Trigger default out -"];
    let squeezed =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    for row in created {
        assert!(squeezed(&dry.stdout).contains(&row.to_owned()), "{row}: {dry:?}");
    }
    assert!(dry.stderr.contains("dry run: nothing was changed"), "{dry:?}");
    assert_eq!(node.weft(&["get", "function", "front"]).await.code, 1);

    let applied = node.weft(&["apply", "-f", &more]).await.ok();
    assert_eq!(squeezed(&applied.stdout), squeezed(&dry.stdout));
    assert_eq!(node.get("front", "/").await.status, 200);
    project.write("../more/one.yaml", manifest::function("front", "echo", "env: { A: '2' }"));
    let again = node.weft(&["apply", "-f", &more, "-o", "json"]).await.ok().json();
    let changes: Vec<_> =
        again["changes"].as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["changed", "unchanged", "unchanged"], "{again}");
    assert_eq!(again["changes"][0]["revision"], "front-00002");

    let bad =
        node.weft_with_input(&["apply", "-f", "-", "-o", "json"], manifest::topic("x", "sice: 1Gi").as_bytes()).await;
    assert_eq!((bad.code, &bad.json()["errors"][0]["code"]), (1, &"unknown_key".into()), "{bad:?}");
    refused(&node, &["apply", "-f", "../none.yaml"], 2, &["none.yaml", "no such file"]).await;
    let missing = manifest::trigger("late", "nowhere", "function: front");
    let unknown = node.weft_with_input(&["apply", "-f", "-"], missing.as_bytes()).await;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("<stdin>:5:16: there is no topic nowhere: add a Topic of that name"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_command_that_is_wrong_says_so_with_2() {
    let project = Project::new("");
    for (words, expect) in [
        (["get"].as_slice(), "<KIND>"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["get", "functions", "--colour"], "unexpected argument '--colour'"),
        (&["top"], "weft top is not in this version yet"),
        (&["replay", "bill-orders"], "--from"),
        (&["serve"], "--config"),
        (&["dev", "./none"], "is not a folder"),
        (&["dev", "--http", "0.0.0.0:80"], "listens on loopback only"),
        (&["deploy", "a"], "<MODULE>"),
        (&["get", "functions", "--admin", "ftp://x"], "is not an address of an admin API"),
    ] {
        let run = project.weft(words).await;
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert!(run.stderr.contains(expect), "{words:?} does not say {expect:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named_with_the_next_step() {
    let project = Project::new("");
    let nobody = Nobody::there();
    let address = nobody.url("");
    for words in [
        ["get", "functions"].as_slice(),
        &["invoke", "hello"],
        &["publish", "orders", "--type", "t"],
        &["tail", "orders"],
    ] {
        let run = project.weft(&[words, &["--admin", &address]].concat()).await;
        assert_eq!(run.code, 1, "{run:?}");
        let expect = format!("cannot reach the node at {address}: connection refused; start one with 'weft dev'");
        assert!(run.stderr.contains(&expect), "{words:?}: {run:?}");
    }
    let other = Sink::start().await;
    let run = project.weft(&["get", "functions", "--admin", &other.url("")]).await;
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("answers, but not as the admin API of a node"), "{run:?}");
}
