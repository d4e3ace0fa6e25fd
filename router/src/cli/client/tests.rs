//! The client against a stub node on a free port: what it asks, and what it makes of good, bad and strange answers.

use http::HeaderMap;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::cli::stub_node::{Asked, Canned, answer, canned, stub};

/// A node that writes these bytes to whoever connects, and hangs up.
async fn raw(bytes: &'static [u8]) -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = Admin::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _asked = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await;
            stream.write_all(bytes).await.unwrap();
        }
    });
    admin
}

fn name(text: &str) -> Namespaced {
    text.parse().unwrap()
}

#[tokio::test]
async fn questions_are_put_as_the_api_has_them() {
    let (admin, asked) = stub(canned(200, r#"{"items": [], "changes": []}"#)).await;
    admin.list(Kind::Function, None).await.unwrap();
    admin.list(Kind::Topic, Some("shop")).await.unwrap();
    admin.resource(Kind::Policy, &name("shop/p")).await.unwrap();
    admin.delete(Kind::Trigger, &name("t")).await.unwrap();
    assert!(admin.has_module("ab12", &name("shop/hello")).await.unwrap());
    admin.put_module("ab12", &name("shop/hello"), Bytes::from_static(b"\0asm")).await.unwrap();
    let reference = ModuleReference { file: "a.yaml".into(), module: "./m.wasm".into(), digest: "ab12".into() };
    let document = Document { file: "a.yaml".into(), text: "kind: Topic".into() };
    admin.apply(&ApplyRequest { documents: vec![document], modules: vec![reference], dry_run: true }).await.unwrap();
    drop(admin.follow(&name("orders"), "2026-01-02T03:04:05+01:00", Some(3), None).await.unwrap());

    let asked = asked.lock().unwrap();
    let lines: Vec<_> = asked.iter().map(|(line, _, _)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/resources/function",
            "GET /api/v1/resources/topic?namespace=shop",
            "GET /api/v1/resources/policy/shop/p",
            "DELETE /api/v1/resources/trigger/default/t",
            "HEAD /api/v1/modules/ab12?function=shop/hello",
            "PUT /api/v1/modules/ab12?function=shop/hello",
            "POST /api/v1/apply",
            "GET /api/v1/topics/default/orders/events?follow=true&from=2026%2D01%2D02T03%3A04%3A05%2B01%3A00&limit=3",
        ]
    );
    assert!(asked.iter().all(|(_, host, _)| host.starts_with("127.0.0.1:")));
    assert_eq!(asked[5].2, "\0asm");
    let applied: Value = serde_json::from_slice(&asked[6].2).unwrap();
    let expect = json!({"documents": [{"file": "a.yaml", "text": "kind: Topic"}], "dryRun": true,
        "modules": [{"file": "a.yaml", "module": "./m.wasm", "digest": "ab12"}]});
    assert_eq!(applied, expect);
}

#[tokio::test]
async fn a_bad_answer_says_what_to_do() {
    let check = async |canned: Canned, expect: &str| {
        let (admin, _asked) = stub(canned).await;
        let error = admin.resource(Kind::Function, &name("hello")).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    let problem =
        r#"{"title": "not found", "status": 404, "code": "NOT_FOUND", "detail": "no function default/hello"}"#;
    check(canned(404, problem), "no function default/hello (NOT_FOUND); see what there is").await;
    check(canned(409, r#"{"code": "OWNED", "detail": "app.yaml:3 owns it"}"#), "app.yaml:3 owns it (OWNED)").await;
    check(canned(500, "oops"), "answered 500 Internal Server Error without a problem document").await;
    check(canned(200, "<html>"), "answered no JSON").await;
    check(Canned { headers: vec![], ..canned(404, problem) }, "not as the admin API of a node; check --admin").await;
    check(Canned { headers: vec![("x-weft-api", "2")], ..canned(200, "{}") }, "speaks version 2 of the admin API")
        .await;
    check(canned(200, " ".repeat(ANSWER_BYTES + 1)), "is larger than").await;
}

#[tokio::test]
async fn mistakes_in_manifests_are_handed_on_whole() {
    let body = json!({"errors": [{"file": "a.yaml", "line": 1, "rendered": "a.yaml:1:1: no"}, {"file": "b.yaml"}]});
    let (admin, _asked) = stub(canned(422, body.to_string())).await;
    match admin.apply(&ApplyRequest::default()).await {
        Err(ClientError::Mistakes(errors)) => assert_eq!(errors.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_module_the_node_lacks_is_no_error() {
    let (admin, _asked) = stub(canned(404, "")).await;
    assert!(!admin.has_module("ab12", &name("shop/hello")).await.unwrap());
    let (admin, _asked) = stub(canned(403, "")).await;
    assert!(!admin.has_module("ab12", &name("shop/hello")).await.unwrap(), "the upload says why");
    let (admin, _asked) = stub(canned(500, "")).await;
    assert!(admin.has_module("ab12", &name("shop/hello")).await.is_err());
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named_with_the_next_step() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let admin = Admin::new(format!("http://{address}").parse().unwrap());
    let error = admin.node().await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cannot reach the node at http://{address}: connection refused; start one with 'weft dev', or name another with --admin"
        )
    );
    let missing = Admin::new("unix:/no/such/socket".parse().unwrap()).node().await.unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot reach the node at unix:/no/such/socket: no such file or directory;"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_node_that_hangs_up_or_speaks_no_http_is_an_error_and_no_panic() {
    for bytes in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nx-weft-api: 1\r\ncontent-length: 9\r\n\r\n{"] {
        let error = raw(bytes).await.node().await.unwrap_err();
        assert!(matches!(error, ClientError::Interrupted { .. }), "{error:?}");
        assert!(error.to_string().contains("hung up before its answer was whole"), "{error}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_a_node_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = Asked::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answers = |_: &str| canned(200, r#"{"domain": "localhost", "http": "127.0.0.1:8080", "mode": "dev"}"#);
        answer(stream, std::sync::Arc::new(answers), seen).await;
    });
    let node = Admin::new(format!("unix:{}", path.display()).parse().unwrap()).node().await.unwrap();
    assert_eq!((node.domain.as_str(), node.http.as_deref()), ("localhost", Some("127.0.0.1:8080")));
    assert_eq!(asked.lock().unwrap()[0].1, "localhost");
}

#[tokio::test]
async fn lines_are_cut_where_they_end() {
    let check = async |body: &str, expect: &[&str]| {
        let (admin, _asked) = stub(canned(200, body)).await;
        let mut lines = admin.follow(&name("orders"), "end", None, None).await.unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(found, expect);
    };
    check("", &[]).await;
    check("{}\n", &["{}"]).await;
    check("\n\n{\"a\":1}\n\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]).await;
    // A line without an end was not written whole.
    check("{}\n{\"cut\":", &["{}"]).await;
}

#[tokio::test]
async fn a_line_may_come_in_pieces() {
    let node = raw(b"HTTP/1.1 200 OK\r\nx-weft-api: 1\r\ntransfer-encoding: chunked\r\n\r\n\
        5\r\n{\"a\":\r\n3\r\n1}\n\r\n1\r\n\n\r\n4\r\n{}\n{\r\n2\r\n}\n\r\n0\r\n\r\n")
    .await;
    let mut lines = node.follow(&name("orders"), "end", None, None).await.unwrap();
    for expect in ["{\"a\":1}", "{}", "{}"] {
        assert_eq!(lines.next().await.unwrap().unwrap(), expect);
    }
    assert_eq!(lines.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_call_goes_to_the_data_address_under_the_functions_host() {
    let (stand_in, asked) = stub(canned(200, "hello")).await;
    let data = stand_in.address().authority();
    let (admin, _asked) = stub(canned(200, json!({"domain": "localhost", "http": data}).to_string())).await;
    let plane = DataPlane::of(&admin).await.unwrap();
    let call = DataCall {
        method: Method::POST,
        host: plane.function_host(&name("shop/hello")),
        path: "/a?b=%20".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"x"),
        patience: ANSWER,
    };
    assert_eq!(plane.call(call).await.unwrap().status(), 200);
    let port = data.rsplit(':').next().unwrap();
    let expect = ("POST /a?b=%20".to_owned(), format!("hello.shop.localhost:{port}"), Bytes::from_static(b"x"));
    assert_eq!(*asked.lock().unwrap(), [expect]);
}
