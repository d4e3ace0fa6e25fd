//! Whole commands against a stub node: what is asked, what is printed where, and the exit code.

use clap::Parser;
use serde_json::{Value, json};

use crate::cli::stub_node::{Asked, Canned, canned, start};
use crate::cli::terminal::captured;
use crate::cli::{Cli, failure, run_client};

const NOT_FOUND: &str = r#"{"title": "not found", "status": 404, "code": "NOT_FOUND", "detail": "no such thing"}"#;
const HELLO: &str = r#"{"kind": "Function", "metadata": {"name": "hello", "namespace": "default"}, "spec": {"module": "hello.wasm"},
    "status": {"revision": "hello-00001", "url": "http://hello.localhost:8080/"}}"#;

/// What a command did.
struct Done {
    /// As the shell sees it.
    code: String,
    stdout: String,
    stderr: String,
}

/// Runs the words against a node.
async fn weft(admin: &str, words: &[&str]) -> Done {
    let cli = Cli::try_parse_from(["weft", "--admin", admin].iter().chain(words)).unwrap();
    captured::take();
    let done = run_client(cli.command, &cli.global).await;
    let code = format!("{:?}", done.unwrap_or_else(|error| failure::report(&error)));
    let (stdout, stderr) = captured::take();
    Done { code, stdout, stderr }
}

/// A node that answers its data address, and callers with `call`.
async fn node_with_data(call: Canned) -> (String, Asked) {
    let (data, asked) = start(move |_line| call.clone()).await;
    let node = json!({"domain": "localhost", "http": data.trim_start_matches("http://")}).to_string();
    (start(move |_line| canned(200, node.clone())).await.0, asked)
}

fn exit(code: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(code))
}

fn lines(asked: &Asked) -> Vec<String> {
    asked.lock().unwrap().iter().map(|(line, _, _)| line.clone()).collect()
}

fn module(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("hello.wasm");
    std::fs::write(&path, b"\0asm").unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn deploy_sends_the_module_once_and_says_where_it_serves() {
    let digest = "cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f";
    let folder = tempfile::tempdir().unwrap();
    let module = module(&folder);
    for (known, expect_upload) in [(404, true), (200, false)] {
        let (admin, asked) = start(move |line| match line.split(' ').next() {
            Some("HEAD") => canned(known, ""),
            Some("PUT") => canned(201, ""),
            Some("POST") => canned(200, r#"{"changes": []}"#),
            _ => canned(200, HELLO),
        })
        .await;
        let done = weft(&admin, &["deploy", "hello", &module]).await;
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (exit(0), "hello-00001 serving at http://hello.localhost:8080/\n")
        );
        let module = format!("/api/v1/modules/{digest}?function=default/hello");
        let mut expect = vec![format!("HEAD {module}")];
        expect.extend(expect_upload.then(|| format!("PUT {module}")));
        expect.extend(["POST /api/v1/apply".to_owned(), "GET /api/v1/resources/function/default/hello".to_owned()]);
        assert_eq!(lines(&asked), expect);
    }
}

#[tokio::test]
async fn a_command_that_is_wrong_asks_the_node_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let module = module(&folder);
    let check = async |words: &[&str], expect: &str| {
        let (admin, asked) = start(|_line| canned(500, "")).await;
        let done = weft(&admin, words).await;
        assert_eq!(done.code, exit(2), "{words:?}: {}", done.stderr);
        assert!(done.stderr.contains(expect) && done.stdout.is_empty(), "{words:?}: {}", done.stderr);
        assert_eq!(lines(&asked), [""; 0], "{words:?}");
    };
    check(&["deploy", "hello", "/no/such.wasm"], "cannot read the module /no/such.wasm: no such file or directory")
        .await;
    check(&["deploy", "hello", "oci://registry/hello"], "not in this version yet").await;
    check(&["deploy", "hello", &module, "--min", "9", "--max", "1"], "`min` (9) is above `max` (1)").await;
    check(&["deploy", "Hello", &module], "is not a name").await;
    check(&["apply", "-f", "/no/such/folder"], "cannot read /no/such/folder").await;
    check(&["invoke", "hello", "users"], "write /users").await;
    check(&["publish", "orders", "--type", "t", "-d", "@/no/such"], "cannot read /no/such").await;
    check(&["tail", "orders", "--where", "true AND"], "--where: ").await;
    check(&["replay", "bill", "--from", "1", "--where", "true AND"], "--where: ").await;
    check(&["dead", "redrive", "bill", "--event", ""], "--event is empty").await;
    check(&["job", "watch", "7"], "is no job's id").await;
    check(&["get", "all", "hello"], "'all' takes no name").await;
}

#[tokio::test]
async fn apply_prints_changes_or_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    module(&folder);
    let manifest = folder.path().join("app.yaml");
    let text =
        "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: hello }\nspec: { module: ./hello.wasm }\n";
    std::fs::write(&manifest, text).unwrap();
    let path = manifest.to_str().unwrap();

    let changes =
        json!({"changes": [{"change": "created", "kind": "Function", "namespace": "default", "name": "hello"}]});
    let (admin, asked) = start(move |_line| canned(200, changes.to_string())).await;
    let done = weft(&admin, &["apply", "-f", path, "--dry-run"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (exit(0), "dry run: nothing was changed\n"));
    assert!(done.stdout.contains("created   Function   default     hello   -\n"), "{}", done.stdout);
    let sent: Value = serde_json::from_slice(&asked.lock().unwrap().last().unwrap().2).unwrap();
    assert_eq!((&sent["dryRun"], &sent["documents"][0]["text"]), (&json!(true), &json!(text)));
    assert_eq!(sent["modules"][0]["file"], path);

    let mistake = json!({"file": "app.yaml", "line": 4, "column": 1, "path": "", "code": "c", "message": "m", "rendered": "app.yaml:4:1: m\n"});
    let (admin, _asked) = start(move |line| match line.starts_with("POST") {
        true => canned(422, json!({ "errors": [mistake] }).to_string()),
        false => canned(200, ""),
    })
    .await;
    let done = weft(&admin, &["apply", "-f", path]).await;
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (exit(1), "", "app.yaml:4:1: m\n\n1 mistake\n")
    );
    let done = weft(&admin, &["apply", "-f", path, "-o", "json"]).await;
    let errors: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (done.code, &errors["errors"][0]["line"], &errors["errors"][0]["rendered"]),
        (exit(1), &json!(4), &Value::Null)
    );

    // What can be seen without the node is said without it.
    std::fs::write(&manifest, text.replace("hello.wasm", "none.wasm")).unwrap();
    let done = weft("http://127.0.0.1:1", &["apply", "-f", path]).await;
    assert_eq!(done.code, exit(1));
    assert!(done.stderr.contains("app.yaml:4:17: cannot read the module"), "{}", done.stderr);
}

#[tokio::test]
async fn invoke_prints_the_body_and_is_done_only_on_2xx() {
    let answer = |status: u16, content_type: &'static str, body: &str| Canned {
        status,
        headers: vec![("content-type", content_type), ("x-weft-decision", "d-7")],
        body: body.to_owned(),
    };
    let denied = r#"{"title": "forbidden", "status": 403, "code": "AUTHZ_DENIED", "decision": "d-7"}"#;
    for (call, code, stdout, stderr) in [
        (answer(200, "text/plain", "hello"), 0, "hello", ""),
        (answer(204, "text/plain", ""), 0, "", ""),
        (answer(302, "text/plain", "moved"), 1, "moved", "the function answered 302 Found (decision d-7)"),
        (answer(500, "text/plain", "own words"), 1, "own words", "500 Internal Server Error (decision d-7)"),
        (answer(403, "application/problem+json", denied), 1, "", "forbidden (AUTHZ_DENIED, decision d-7); see why"),
        (answer(400, "application/problem+json", r#"{"mine": 1}"#), 1, r#"{"mine": 1}"#, "400 Bad Request"),
        (answer(404, "application/problem+json", r#"{"code": "mine"}"#), 1, r#"{"code": "mine"}"#, "404 Not Found"),
    ] {
        let (admin, asked) = node_with_data(call).await;
        let done = weft(&admin, &["invoke", "hello", "/a?b", "-d", "{}"]).await;
        assert_eq!((done.code, done.stdout.as_str()), (exit(code), stdout));
        assert!(done.stderr.contains(stderr) && done.stderr.is_empty() == stderr.is_empty(), "{}", done.stderr);
        assert_eq!(lines(&asked), ["POST /a?b"]);
    }
    let (admin, _asked) = node_with_data(answer(500, "text/plain", "own words")).await;
    let done = weft(&admin, &["invoke", "hello", "-o", "json"]).await;
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (done.code, &said["status"], &said["body"], &said["decision"]),
        (exit(1), &json!(500), &json!("own words"), &json!("d-7"))
    );
}

#[tokio::test]
async fn publish_says_what_was_accepted() {
    let body = r#"{"accepted":[{"id":"1","source":"/weft/cli","sequence":"7"}]}"#;
    let (admin, asked) = node_with_data(canned(202, body)).await;
    let done = weft(&admin, &["-n", "shop", "publish", "orders", "--type", "t", "--id", "1", "-d", "12"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (exit(0), "accepted orders #7 (id 1)\n"));
    let done = weft(&admin, &["publish", "shop/orders", "--type", "t", "-o", "json"]).await;
    assert_eq!((done.code, done.stdout), (exit(0), format!("{body}\n")));
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    assert!(asked.iter().all(|(line, host, _)| line == "POST /shop/orders" && host.starts_with("topics.localhost:")));
    let event: Value = serde_json::from_slice(&asked[0].2).unwrap();
    assert_eq!(
        (&event["id"], &event["data"], &event["datacontenttype"]),
        (&json!("1"), &json!(12), &json!("application/json"))
    );

    let (admin, _asked) = node_with_data(canned(409, r#"{"code": "EVENT_CONFLICT", "title": "conflict"}"#)).await;
    let done = weft(&admin, &["publish", "orders", "--type", "t"]).await;
    assert_eq!(done.code, exit(1));
    assert!(done.stderr.contains("conflict (EVENT_CONFLICT); the topic has another event"), "{}", done.stderr);
}

#[tokio::test]
async fn tail_ends_at_its_limit_and_not_silently_before() {
    let entry =
        json!({"sequence": "7", "time": "2026-01-02T03:04:05Z", "event": {"id": "1", "source": "/s", "type": "t"}});
    let (admin, _asked) = start(move |_line| canned(200, format!("\n{entry}\n{entry}\n"))).await;
    let done = weft(&admin, &["tail", "orders", "--limit", "2"]).await;
    assert_eq!((done.code, done.stdout.lines().count()), (exit(0), 2));
    let done = weft(&admin, &["tail", "orders", "-o", "json"]).await;
    assert_eq!((done.code, done.stdout.lines().count()), (exit(1), 2));
    assert!(done.stderr.contains("the node ended the stream after #7"), "{}", done.stderr);
}

#[tokio::test]
async fn get_describe_and_delete_ask_for_what_was_named() {
    let (admin, asked) = start(|line| match line {
        "GET /api/v1/resources/function/default/hello" => canned(200, HELLO),
        line if line.ends_with("/none") => canned(404, NOT_FOUND),
        line if line.starts_with("DELETE") => canned(200, r#"{"changes": []}"#),
        _ => canned(200, r#"{"items": []}"#),
    })
    .await;
    let done = weft(&admin, &["get", "functions", "hello", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), serde_json::from_str::<Value>(HELLO).unwrap());
    let done = weft(&admin, &["get", "topics", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), json!({"items": []}));
    let done = weft(&admin, &["get", "topics", "-n", "shop"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (exit(0), ""));
    assert!(done.stderr.starts_with("no topics in the namespace shop;"), "{}", done.stderr);
    let done = weft(&admin, &["describe", "Function", "none"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (exit(1), ""));
    assert!(done.stderr.contains("no such thing (NOT_FOUND)"), "{}", done.stderr);
    let done = weft(&admin, &["delete", "trigger", "shop/bill"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (exit(0), "deleted trigger shop/bill\n"));
    let expect =
        ["function/default/hello", "topic", "topic?namespace=shop", "function/default/none", "trigger/shop/bill"];
    let asked = lines(&asked);
    assert!(
        asked.iter().zip(expect).all(|(line, end)| line.ends_with(&format!("/api/v1/resources/{end}"))),
        "{asked:?}"
    );
}
