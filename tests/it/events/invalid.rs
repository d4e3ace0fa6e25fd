//! Bad events (threats F-01 to F-06): each is refused with words that name what is wrong, and nothing of it is kept.

use weft_tests::events::{BATCH, STRUCTURED, binary, event, structured, to_topic};
use weft_tests::{Answer, Node, Project, manifest, raw};

/// Attributes of a good event in binary mode, and in JSON without braces.
const GOOD: &str = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /test\r\nce-type: t\r\n";
const GOOD_JSON: &str = r#""specversion":"1.0","id":"1","source":"/test","type":"t""#;

async fn node(project: &Project) -> Node {
    project.start().await
}

/// Sends headers and a body as they are and expects a refusal with these words.
async fn refused(node: &Node, headers: &str, body: &[u8], status: u16, detail: &str) {
    let code = if status == 413 { "EVENT_TOO_LARGE" } else { "EVENT_INVALID" };
    let length = body.len();
    let mut request = format!(
        "POST /default/orders HTTP/1.1\r\nHost: topics.localhost\r\nConnection: close\r\nContent-Length: {length}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(headers.as_bytes());
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    let came = raw::exchange(node.http, &request).await;
    let shown = format!("{} {}", headers.escape_debug(), String::from_utf8_lossy(&body[..length.min(200)]));
    assert_eq!(came.status(), Some(status), "{shown}: {}", came.text());
    let problem: serde_json::Value = serde_json::from_str(&came.body()).unwrap();
    assert_eq!(problem["code"], code, "{shown}: {problem}");
    assert!(problem["detail"].as_str().is_some_and(|said| said.contains(detail)), "{shown}: {problem}");
    assert_eq!(problem["decision"].as_str(), came.header("x-weft-decision").as_deref(), "{shown}");
}

async fn binary_refused(node: &Node, headers: &str, detail: &str) {
    refused(node, headers, b"{}", 400, detail).await;
}

async fn structured_refused(node: &Node, body: impl AsRef<[u8]>, detail: &str) {
    refused(node, &format!("Content-Type: {STRUCTURED}\r\n"), body.as_ref(), 400, detail).await;
}

async fn nothing_is_kept(node: &Node) {
    assert!(node.events("orders").await.is_empty(), "a refused event was kept");
    assert_eq!(node.publish("orders", &event("good", "t")).await, 1);
}

#[tokio::test]
async fn required_attributes() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    for (name, line) in [("id", "ce-id: 1"), ("source", "ce-source: /test"), ("type", "ce-type: t")] {
        let without = GOOD.replace(&format!("{line}\r\n"), "");
        binary_refused(&node, &without, &format!("attribute `{name}`: missing")).await;
        let twice = format!("{GOOD}{line}\r\n");
        binary_refused(&node, &twice, &format!("attribute `{name}`: given more than once")).await;
        let empty = GOOD.replace(&format!("{line}\r\n"), &format!("ce-{name}:\r\n"));
        let words = if name == "source" { "must not be empty" } else { "must not be blank" };
        binary_refused(&node, &empty, &format!("attribute `{name}`: {words}")).await;
    }
    binary_refused(&node, &GOOD.replace("ce-id: 1", "ce-id: %20%20"), "attribute `id`: must not be blank").await;
    binary_refused(&node, "ce-id: 1\r\nce-source: /\r\nce-type: t\r\n", "attribute `specversion`: missing").await;
    for version in ["0.3", "1.1", "%201.0", "1", "1.0.0", "2.0"] {
        let other = GOOD.replace("ce-specversion: 1.0", &format!("ce-specversion: {version}"));
        binary_refused(&node, &other, "attribute `specversion`: must be exactly 1.0").await;
        let json = GOOD_JSON.replace("\"1.0\"", &format!("\"{}\"", version.replace("%20", " ")));
        structured_refused(&node, format!("{{{json}}}"), "attribute `specversion`: must be exactly 1.0").await;
    }
    for (name, pair) in [("id", r#""id":"1""#), ("source", r#""source":"/test""#), ("type", r#""type":"t""#)] {
        let json = |with: &str| format!("{{{}}}", GOOD_JSON.replace(pair, with));
        structured_refused(&node, json(r#""x":"y""#), &format!("attribute `{name}`: missing")).await;
        structured_refused(
            &node,
            json(&format!("{pair},{pair}")),
            &format!("attribute `{name}`: given more than once"),
        )
        .await;
        structured_refused(&node, json(&format!("\"{name}\":5")), &format!("attribute `{name}`: must be a string"))
            .await;
        structured_refused(&node, json(&format!("\"{name}\":null")), &format!("attribute `{name}`: missing")).await;
    }
    nothing_is_kept(&node).await;
}

#[tokio::test]
async fn two_descriptions_of_one_event() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    let good = format!("{{{GOOD_JSON}}}");
    let structured_type = format!("Content-Type: {STRUCTURED}\r\n");
    for (headers, detail) in [
        ("ce-id: 2\r\n", "attribute `id`: the ce- header differs from the event in the body"),
        ("ce-extra: 2\r\n", "attribute `extra`: the ce- header differs from the event in the body"),
        ("ce-id: 1\r\nce-id: 1\r\n", "attribute `id`: given more than once"),
        ("ce-datacontenttype: text/plain\r\n", "the header ce-datacontenttype is not allowed"),
    ] {
        refused(&node, &format!("{structured_type}{headers}"), good.as_bytes(), 400, detail).await;
    }
    let batch_type = format!("Content-Type: {BATCH}\r\nce-id: 1\r\n");
    refused(
        &node,
        &batch_type,
        format!("[{good}]").as_bytes(),
        400,
        "ce- headers cannot describe the events of a batch",
    )
    .await;
    binary_refused(&node, &format!("{GOOD}ce-datacontenttype: text/plain\r\n"), "Content-Type says it").await;
    binary_refused(&node, &format!("{GOOD}Content-Type: text/plain\r\nContent-Type: text/html\r\n"), "more than once")
        .await;
    structured_refused(
        &node,
        format!(r#"{{{GOOD_JSON},"data":1,"data_base64":"MQ=="}}"#),
        "`data` and `data_base64` are both given",
    )
    .await;
    structured_refused(&node, format!(r#"{{{GOOD_JSON},"data_base64":"%%"}}"#), "`data_base64` is not base64").await;
    nothing_is_kept(&node).await;

    // What says the same twice is one description.
    let equal = node.ask(structured("orders", &event("2", "t")).header("ce-id", "2").header("ce-type", "t")).await;
    assert_eq!(equal.sequences(), [2]);
}

#[tokio::test]
async fn values_that_cannot_be_read_one_way() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    for (value, detail) in [
        ("gr\u{fc}n", "attribute `note`: characters outside printable ASCII must be percent-encoded"),
        ("%FF", "attribute `note`: the percent-encoded bytes are not UTF-8"),
        ("%C0%AE", "attribute `note`: the percent-encoded bytes are not UTF-8"),
        ("%ED%A0%80", "attribute `note`: the percent-encoded bytes are not UTF-8"),
        ("100%", "attribute `note`: % must be followed by two hexadecimal digits"),
        ("%zz", "attribute `note`: % must be followed by two hexadecimal digits"),
        ("%00", "attribute `note`: the character U+0000 is not allowed"),
        ("a%0Ab", "attribute `note`: the character U+000A is not allowed"),
        ("%C2%85", "attribute `note`: the character U+0085 is not allowed"),
        ("%EF%BF%BF", "attribute `note`: the character U+FFFF is not allowed"),
        ("\"open", "attribute `note`: the quoted value does not end"),
    ] {
        binary_refused(&node, &format!("{GOOD}ce-note: {value}\r\n"), detail).await;
    }
    for (member, detail) in [
        (r#""note":"\ud800""#, "attribute `note`: the text has a lone surrogate"),
        (r#""note":"\u0000""#, "attribute `note`: the character U+0000 is not allowed"),
        (r#""note":1.5"#, "attribute `note`: a number must be an integer of 32 bits"),
        (r#""note":99999999999"#, "attribute `note`: a number must be an integer of 32 bits"),
        (r#""note":{"a":1}"#, "attribute `note`: must be a string, an integer or a boolean"),
        (r#""note":["a"]"#, "attribute `note`: must be a string, an integer or a boolean"),
    ] {
        structured_refused(&node, format!("{{{GOOD_JSON},{member}}}"), detail).await;
    }
    structured_refused(
        &node,
        [b"{".as_slice(), GOOD_JSON.as_bytes(), b",\"note\":\"\xff\"}"].concat(),
        "the body is not UTF-8",
    )
    .await;
    for (name, value, detail) in [
        ("source", "a b", "must be a URI reference"),
        ("source", "/%zz", "must be a URI reference"),
        ("subject", "", "must not be empty"),
        ("dataschema", "/relative", "must be an absolute URI"),
        ("datacontenttype", "text", "must be a media type"),
        ("datacontenttype", "application/cloudevents+json", "an event whose data is an event cannot be carried"),
        ("time", "yesterday", "must be a time as in RFC 3339"),
        ("time", "2026-02-30T00:00:00Z", "must be a time as in RFC 3339"),
        ("time", "2026-01-01T12:00:60Z", "must be a time as in RFC 3339"),
        ("time", "10000-01-01T00:00:00Z", "must be a time as in RFC 3339"),
    ] {
        let mut bad = event("1", "t");
        bad[name] = value.into();
        structured_refused(&node, bad.to_string(), &format!("attribute `{name}`: {detail}")).await;
    }
    nothing_is_kept(&node).await;
    // The edges of what is allowed.
    for (number, time) in
        ["2016-12-31T23:59:60Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00.123456789+14:00"].iter().enumerate()
    {
        let mut good = event(&format!("time-{number}"), "t");
        good["time"] = (*time).into();
        node.publish("orders", &good).await;
    }
}

#[tokio::test]
async fn names_and_sizes_of_attributes() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    binary_refused(&node, &format!("{GOOD}ce-bad-name: x\r\n"), "attribute `bad-name`: not a name").await;
    let long = "n".repeat(65);
    binary_refused(&node, &format!("{GOOD}ce-{long}: x\r\n"), "not a name: expected 1 to 64 of a-z and 0-9").await;
    for name in ["Upper", "under_score", "", &long] {
        structured_refused(&node, format!("{{{GOOD_JSON},\"{name}\":\"x\"}}"), "not a name").await;
    }
    let large = format!(r#"{{{GOOD_JSON},"note":"{}"}}"#, "x".repeat(4097));
    let structured_type = format!("Content-Type: {STRUCTURED}\r\n");
    refused(&node, &structured_type, large.as_bytes(), 413, "attribute `note`: 4097 bytes, at most 4096 are taken")
        .await;
    let many: String = (0..61).map(|number| format!(",\"n{number}\":\"x\"")).collect();
    refused(&node, &structured_type, format!("{{{GOOD_JSON}{many}}}").as_bytes(), 413, "more than 64 attributes").await;
    let wide: String = (0..10).map(|number| format!(",\"n{number}\":\"{}\"", "x".repeat(4000))).collect();
    refused(
        &node,
        &structured_type,
        format!("{{{GOOD_JSON}{wide}}}").as_bytes(),
        413,
        "bytes of attributes, at most 32768",
    )
    .await;
    nothing_is_kept(&node).await;
}

#[tokio::test]
async fn sizes_of_events() {
    const MAX: usize = 1024 * 1024;
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    let send = async |id: &str, bytes: usize| -> Answer {
        let attributes = [("specversion", "1.0"), ("id", id), ("source", "/test"), ("type", "t")];
        node.ask(binary("orders", &attributes, "application/octet-stream", "").body(vec![b'x'; bytes])).await
    };
    for (sequence, (id, bytes)) in [("a", 64 * 1024 - 1), ("b", 64 * 1024), ("c", MAX)].into_iter().enumerate() {
        assert_eq!(send(id, bytes).await.sequences(), [sequence as u64 + 1], "{bytes} bytes");
    }
    let refused = send("d", MAX + 1).await;
    assert_eq!((refused.status, refused.code().as_deref()), (413, Some("EVENT_TOO_LARGE")));

    let events = |count: usize| (0..count).map(|number| event(&format!("many-{number}"), "t")).collect::<Vec<_>>();
    let refused = node.ask(weft_tests::events::batch("orders", &events(1_001))).await;
    assert_eq!((refused.status, refused.code().as_deref()), (413, Some("EVENT_TOO_LARGE")));
    assert_eq!(node.events("orders").await.len(), 3);
    assert_eq!(node.ask(weft_tests::events::batch("orders", &events(1_000))).await.sequences().len(), 1_000);
}

#[tokio::test]
async fn json_that_is_none_or_too_deep() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = node(&project).await;
    let good = format!("{{{GOOD_JSON}}}");
    for body in
        ["", "{", "[]", "null", "\"event\"", "{\"a\":}", "{'a':1}", &format!("{good} x"), &format!("\u{feff}{good}")]
    {
        structured_refused(&node, body, "the body is not an event in JSON").await;
    }
    let deep = format!(r#"{{{GOOD_JSON},"data":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    structured_refused(&node, &deep, "nested more than 128 deep").await;
    structured_refused(
        &node,
        format!(r#"{{{GOOD_JSON},"data":1,"data":2}}"#),
        "attribute `data`: given more than once",
    )
    .await;
    structured_refused(&node, format!(r#"{{{GOOD_JSON},"data":nope}}"#), "the body is not an event in JSON").await;

    let batch_type = format!("Content-Type: {BATCH}\r\n");
    for (body, detail) in [
        (good.clone(), "the body is not a batch in JSON"),
        (format!("[{good},{{}}]"), "event 1 of the batch (counted from 0): attribute `specversion`: missing"),
        (format!("[{good},5]"), "event 1 of the batch"),
        (format!("[{good},]"), "the body is not a batch in JSON"),
    ] {
        refused(&node, &batch_type, body.as_bytes(), 400, detail).await;
    }
    for (content_type, detail) in [
        ("application/cloudevents+avro", "is not a format we read"),
        ("application/cloudevents", "is not a format we read"),
        ("application/cloudevents+json; charset=utf-16", "the charset must be utf-8"),
    ] {
        refused(&node, &format!("Content-Type: {content_type}\r\n"), good.as_bytes(), 400, detail).await;
    }
    nothing_is_kept(&node).await;

    // A number keeps its text, however large.
    let huge = format!(r#"{{{},"data":{{"n":1e400,"m":0.10}}}}"#, GOOD_JSON.replace("\"1\"", "\"huge\""));
    let answer = node
        .ask(to_topic("orders").header("content-type", "Application/CloudEvents+JSON; charset=UTF-8").body(huge))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}
