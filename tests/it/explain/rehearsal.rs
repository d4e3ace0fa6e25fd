//! Requests and events that nobody sends: what would become of them, in JSON and on a page, without any effect.

use serde_json::{Value, json};
use weft_tests::{Project, manifest};

use super::{DEV, deny, explain, page};

const WEAK: &str = "spiffe://weft.local/ns/default/sa/weak";

#[tokio::test]
async fn a_request_is_explained_from_identity_to_instance() {
    let project = Project::new(&(manifest::function("hello", "hello", "scale: { max: 7 }") + &deny("no-weak", WEAK)));
    let node = project.start().await;
    let url = format!("http://hello.localhost:{}/a?b=c", node.http.port());
    let cold = explain(&node, &["request", &url]).await;
    let expect = json!({
        "decision": null, "kind": "request", "verb": "request", "via": null, "verdict": "allow", "code": "OK",
        "asked": { "target": "function default/hello", "method": "GET", "host": "hello.localhost", "path": "/a" },
        "identity": { "peer": DEV, "user": null, "origin": DEV, "via": [], "how": "dev" },
        "route": { "name": "function default/hello", "source": "app.yaml:2", "matched": ["host"], "losers": [] },
        "revision": { "name": "hello-00001", "weight": 100 },
        "instance": { "action": "start", "why": "it is at zero" },
        "limits": { "timeout_ms": 30_000, "cpu_ms": 1_000, "memory": 67_108_864, "idle_ms": 15_000, "stream_ms": 300_000 },
    });
    for (part, expect) in expect.as_object().unwrap() {
        assert_eq!(&cold[part], expect, "{part} of {cold:#}");
    }
    assert_eq!((&cold["snapshot"]["version"], &cold["snapshot"]["kept"]), (&json!(1), &json!(true)));
    let steps = cold["policy"]["steps"].as_array().unwrap();
    assert_eq!((&steps[0]["phase"], &steps[0]["policy"]), (&json!("deny"), &json!("default/no-weak")), "{cold:#}");
    assert_eq!((&steps[0]["match"], &steps[0]["source"]), (&json!(false), &json!("app.yaml:10")), "{cold:#}");
    assert_eq!((&steps[1]["phase"], &cold["policy"]["deciding"]), (&json!("default"), &json!("default")), "{cold:#}");

    // Nothing was started to find that out.
    assert_eq!(node.function_count("hello", "calls").await, 0);
    assert_eq!(node.function_count("hello", "instances").await, 0);
    assert_eq!(node.get("hello", "/").await.status, 200);
    let warm = explain(&node, &["request", &url]).await;
    assert_eq!(warm["instance"]["action"], "reuse", "{warm:#}");
    let without = |mut explained: Value| {
        explained["instance"].take();
        explained["snapshot"]["age_ms"].take();
        explained
    };
    assert_eq!(without(warm), without(cold), "cold and warm differ in the instance alone");

    let denied = explain(&node, &["request", &url, "--as", WEAK, "-X", "POST"]).await;
    assert_eq!((&denied["verdict"], &denied["code"]), (&json!("deny"), &json!("AUTHZ_DENY_RULE")), "{denied:#}");
    assert_eq!(denied["policy"]["deciding"], "policy default/no-weak rule 0");
    assert_eq!((&denied["identity"]["peer"], &denied["identity"]["how"]), (&json!(WEAK), &json!("mtls")));
    let page = page(&node, &["request", &url, "--as", WEAK]).await;
    for expect in [
        "deny (AUTHZ_DENY_RULE): request of function default/hello\n",
        "  asked      GET hello.localhost/a\n",
        "  route      function default/hello (app.yaml:2), by host\n",
        "Policy: policy default/no-weak rule 0 decides\n",
        "  deny     yes  default/no-weak rule 0 (app.yaml:10)\n",
    ] {
        assert!(page.contains(expect), "{expect:?} is not in\n{page}");
    }
}

#[tokio::test]
async fn what_leads_nowhere_is_explained_too_and_what_is_no_question_is_not() {
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let node = project.start().await;
    for (url, verdict, code) in [
        ("http://none.localhost/", "no_route", "ROUTE_NONE"),
        ("http://hello.elsewhere.example/", "no_route", "ROUTE_NONE"),
        ("http://hello.localhost/a/../b", "deny", "REQUEST_AMBIGUOUS"),
        ("http://topics.localhost/default/none", "no_route", "ROUTE_NONE"),
    ] {
        let explained = explain(&node, &["request", url]).await;
        assert_eq!((&explained["verdict"], &explained["code"]), (&json!(verdict), &json!(code)), "{url}");
    }
    for (words, code, expect) in [
        (&["explain", "request", "hello"][..], 1, "expected http(s)://HOST/PATH"),
        (&["explain", "request", "http://user@hello.localhost/"], 1, "expected http(s)://HOST/PATH"),
        (&["explain", "request", "http://hello.localhost/", "--as", "me"], 1, "is no identity"),
        (&["explain", "request", "http://hello.localhost/", "--as", "jwt:https://id/ann"], 1, "no Issuer"),
        (&["explain", "request", "http://hello.localhost/", "--claim", "a=b"], 2, "--as"),
        (&["explain", "request"], 2, "URL"),
        (&["explain", "event", "orders"], 2, "--type"),
        (&["explain", "event", "none", "--type", "t"], 0, ""),
        (&["explain"], 2, "DECISION_ID"),
        (&["explain", "requst"], 2, "begins with d-"),
    ] {
        let done = node.weft(words).await;
        assert_eq!(done.code, code, "{words:?}: {done:?}");
        assert!(done.stderr.contains(expect), "{words:?}: {done:?}");
    }
}

#[tokio::test]
async fn a_functions_own_calls_are_explained_as_its_own() {
    let text = manifest::function("relay", "relay", "allowHosts: [ \"api.example:443\" ]")
        + &manifest::function("hello", "hello", "");
    let project = Project::new(&text);
    let node = project.start().await;
    let relay = "spiffe://weft.local/ns/default/fn/relay";
    for (url, verb, verdict, code, target) in [
        ("http://hello.default.weft.internal/", "request", "allow", "OK", "function default/hello"),
        ("https://api.example/x", "egress", "allow", "OK", "api.example:443"),
        ("https://evil.example/x", "egress", "deny", "EGRESS_DENIED", "evil.example:443"),
    ] {
        let explained = explain(&node, &["request", url, "--as", relay]).await;
        let is = |name: &str| explained[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (is("verb"), is("verdict"), is("code")),
            (verb.into(), verdict.into(), code.into()),
            "{explained:#}"
        );
        assert_eq!(explained["asked"]["target"], target, "{explained:#}");
        assert_eq!(explained["identity"]["how"], "node", "{explained:#}");
    }
}

#[tokio::test]
async fn an_event_is_explained_at_its_topic_and_at_each_trigger() {
    let filters = "function: hello, filters: [ { exact: { type: order.created } } ]";
    let text = manifest::function("hello", "hello", "")
        + &manifest::topic("orders", "")
        + &manifest::trigger("all", "orders", "function: hello")
        + &manifest::trigger("created", "orders", filters)
        + &deny("no-weak", WEAK);
    let project = Project::new(&text);
    let node = project.start().await;
    let explained = explain(&node, &["event", "orders", "--type", "order.changed", "--source", "/shop"]).await;
    assert_eq!(
        (&explained["kind"], &explained["verb"], &explained["verdict"]),
        (&json!("event"), &json!("publish"), &json!("allow"))
    );
    let triggers = &explained["event"]["subscriptions"];
    assert_eq!(
        (&triggers[0]["name"], &triggers[0]["filter"], &triggers[0]["next"]),
        (&json!("default/all"), &json!("pass"), &json!("deliver"))
    );
    assert_eq!(triggers[0]["deliver"]["verdict"], "allow", "{explained:#}");
    assert_eq!(
        (&triggers[1]["filter"], &triggers[1]["first_failing"]),
        (&json!("fail"), &json!("exact type=order.created"))
    );
    let weak = explain(&node, &["event", "orders", "--type", "order.created", "--as", WEAK]).await;
    assert_eq!(
        (&weak["code"], &weak["event"]["subscriptions"][1]["next"]),
        (&json!("AUTHZ_DENY_RULE"), &json!("deny")),
        "{weak:#}"
    );
    let page = page(&node, &["event", "orders", "--type", "order.changed"]).await;
    for expect in [
        "allow: publishing of topic default/orders\n",
        "\nTriggers\n  deliver  default/all to function default/hello (app.yaml:",
        "      may reach the target? allow, by default\n",
        "      the filter fails at: exact type=order.created",
    ] {
        assert!(page.contains(expect), "{expect:?} is not in\n{page}");
    }
    assert_eq!(node.events("orders").await.len(), 0, "nothing was published");
}

#[tokio::test]
async fn asking_counts_as_nothing_but_a_question() {
    let text = manifest::function("hello", "hello", "") + &manifest::topic("orders", "");
    let project = Project::new(&text);
    let node = project.start().await;
    // Scraping is itself a call, and so is nothing else from here on.
    let calls = async || {
        let scrape = node.scrape().await;
        let all = scrape.sum("weft_calls_total", &[]) - scrape.sum("weft_calls_total", &[("verb", "read")]);
        (all, scrape.sum("weft_explain_total", &[]), scrape.sum("weft_function_instances", &[]))
    };
    let (before, asked, instances) = calls().await;
    let reads = node.scrape().await.sum("weft_calls_total", &[("verb", "read")]);
    explain(&node, &["request", "http://hello.localhost/"]).await;
    explain(&node, &["event", "orders", "--type", "t"]).await;
    assert_eq!(node.weft(&["explain", "delivery", "none"]).await.code, 1);
    assert_eq!(calls().await, (before, asked + 3, instances));
    let scrapes = 2;
    assert_eq!(
        node.scrape().await.sum("weft_calls_total", &[("verb", "read")]),
        reads + scrapes,
        "asking is not counted"
    );
}
