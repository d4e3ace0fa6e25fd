//! Requests to functions: what reaches a function, what comes back, and what never does.

mod misbehaviour;
mod scaling;
mod shutdown;
mod streaming;

use std::net::SocketAddr;

use tokio::process::Command;
use weft_tests::cli::{Run, finish};
use weft_tests::node::Options;
use weft_tests::{Answer, Ask, Project, manifest};

/// Who everybody is to `weft dev` who says nothing else.
const DEV: &str = "spiffe://weft.local/ns/default/sa/dev";

#[tokio::test]
async fn a_function_answers_with_a_decision_and_knows_its_caller() {
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let node = project.start().await;
    let (first, second) = (node.get("hello", "/").await, node.get("hello.default", "/").await);
    for answer in [&first, &second] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), format!("hello from weft\nyou are {DEV}\n"));
    }
    assert!(first.decision().is_some() && first.decision() != second.decision(), "each call has a decision of its own");
    let scrape = node.scrape().await;
    let labels =
        [("verb", "request"), ("namespace", "default"), ("target", "hello"), ("verdict", "allow"), ("code", "OK")];
    assert_eq!(scrape.value("weft_calls_total", &labels), Some(2.0));
}

#[tokio::test]
async fn the_callers_identity_is_what_the_operator_said() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let somebody = "spiffe://weft.local/ns/shop/sa/clerk";
    let node = project.start_with(Options::args(&["--as", somebody])).await.unwrap();
    let seen = node.get("echo", "/").await.json();
    assert_eq!(seen["principal"], somebody);
    assert_eq!(seen["origin"], somebody);
}

#[tokio::test]
async fn curl_speaks_http_1_and_http_2() {
    async fn check(http: SocketAddr, version: &[&str], expect: &str) {
        let name = "hello.localhost";
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "%{http_version} %{http_code}", "--resolve"]);
        curl.arg(format!("{name}:{}:{}", http.port(), http.ip())).args(version);
        curl.arg(format!("http://{name}:{}/", http.port()));
        let Run { code, stdout, stderr } = finish(curl, b"").await;
        assert_eq!((code, stdout.lines().last()), (0, Some(expect)), "{version:?} {stdout} {stderr}");
        assert!(stdout.starts_with("hello from weft"), "{stdout}");
    }
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let node = project.start().await;
    check(node.http, &[], "1.1 200").await;
    check(node.http, &["--http1.0"], "1 200").await;
    check(node.http, &["--http2-prior-knowledge"], "2 200").await;
}

#[tokio::test]
async fn what_a_client_asks_reaches_the_function_and_its_status_comes_back() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    for status in [200_u16, 201, 202, 204, 299, 301, 304, 307, 400, 401, 404, 418, 429, 451, 500, 502, 503, 504, 599] {
        let answer = node.get("echo", &format!("/?status={status}")).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.code(), None, "{status} is the function's own");
        assert!(answer.decision().is_some());
    }
    for query in ["a=1&a=2", "", "&&", "x=%2F..%2f%zz", "p=/../;x=\\", "q=a+b%20c'(!)*~", "%00", "?=??", "percent=%"] {
        let seen = node.get("echo", &format!("/a/b?{query}")).await.json();
        assert_eq!((seen["path"].as_str(), seen["query"].as_str()), (Some("/a/b"), Some(query)));
    }
    assert!(node.get("echo", "/a/b").await.json()["query"].is_null());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let seen = node.ask(Ask::new(method, "/").host("echo.localhost")).await.json();
        assert_eq!(seen["method"], method);
    }
    let bytes = [0_u8, 159, 146, 150];
    let seen = node.ask(Ask::post("/").host("echo.localhost").body(bytes.to_vec())).await.json();
    assert_eq!(seen["bodyBase64"], "AJ+Slg==");
}

#[tokio::test]
async fn one_path_is_one_path() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    for (sent, seen) in [
        ("/", "/"),
        ("/a/", "/a/"),
        ("/ADMIN", "/ADMIN"),
        ("/%7Euser", "/~user"),
        ("/a%40b", "/a@b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a.b/.c", "/a.b/.c"),
    ] {
        assert_eq!(node.get("echo", sent).await.json()["path"], seen, "{sent}");
    }
}

#[tokio::test]
async fn an_identity_that_a_client_claims_never_reaches_a_function() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let forged = [
        "x-weft-principal",
        "x-weft-origin",
        "X-Weft-Anything",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "forwarded",
        "l5d-client-id",
        "x-real-ip",
    ];
    let ask = forged.iter().fold(Ask::get("/").host("echo.localhost"), |ask, name| {
        ask.header(name, "forged").header(name, "forged again")
    });
    // A header that `Connection` names must not take ours away either.
    let ask = ask.header("connection", "close, x-weft-principal").header("x-mine", "kept");
    let seen = node.ask(ask).await.json();
    assert!(!seen["headers"].to_string().contains("forged"), "{seen}");
    assert!(seen["headers"].to_string().contains("kept"), "{seen}");
    assert_eq!((seen["principal"].as_str(), seen["origin"].as_str()), (Some(DEV), Some(DEV)));

    // Nor can a function put words into the mesh's mouth.
    let ask =
        Ask::get("/").host("echo.localhost").header("x-echo-x-weft-decision", "forged").header("x-echo-x-own", "v");
    let answer = node.ask(ask).await;
    assert!(answer.decision().is_some());
    assert_eq!(answer.header("x-own"), Some("v"));
}

#[tokio::test]
async fn nothing_answers_where_nothing_is() {
    let project = Project::new(&(manifest::function("hello", "hello", "") + &manifest::topic("orders", "")));
    let node = project.start().await;
    for (host, target) in [
        ("none.localhost", "/"),
        ("hello.shop.localhost", "/"),
        ("a.b.c.localhost", "/"),
        ("hello-00001.localhost", "/"),
        ("localhost", "/"),
        ("127.0.0.1", "/"),
        ("example.com", "/"),
        ("hello.example.com", "/"),
        ("hello.weft.internal", "/"),
        ("topics.localhost", "/default/none"),
        ("topics.localhost", "/orders"),
        ("topics.localhost", "/default/orders/1"),
        ("localhost", "/topics/default/none"),
    ] {
        let answer = node.ask(Ask::post(target).host(host)).await;
        assert_eq!((answer.status, answer.code().as_deref()), (404, Some("ROUTE_NONE")), "{host}{target}");
        assert!(answer.decision().is_some(), "{host}{target}");
        assert_eq!(answer.json()["title"], "nothing answers at this address");
    }
    assert_eq!(node.function_count("hello", "calls").await, 0);
}

#[tokio::test]
async fn a_policy_decides_and_says_no_more_than_that() {
    let text = manifest::function("hello", "hello", "")
        + &manifest::function("open", "hello", "")
        + &manifest::policy(
            "only-the-clerk",
            "action: ALLOW, targets: [ { function: hello } ], rules: [ { from: [ { source: { principals: \
             [ 'spiffe://weft.local/ns/shop/sa/clerk' ] } } ], to: [ { operation: { verbs: [ request ] } } ] } ]",
        );
    let project = Project::new(&text);
    let node = project.start().await;
    assert_eq!(node.get("open", "/").await.status, 200);
    let refused: Answer = node.get("hello", "/").await;
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("AUTHZ_DENIED")));
    assert!(!refused.text().contains("only-the-clerk"), "{}", refused.text());
    let line = node.logged(&["weft::refused", "AUTHZ_NO_ALLOW", refused.decision().unwrap()]).await;
    assert!(line.contains(DEV), "{line}");
    assert_eq!(node.function_count("hello", "calls").await, 0);
    node.stop().await;

    let clerk = Options::args(&["--as", "spiffe://weft.local/ns/shop/sa/clerk"]);
    let node = project.start_with(clerk).await.unwrap();
    assert_eq!(node.get("hello", "/").await.status, 200);
}
