//! What `weft publish` makes of its words, and of the topic's answer.

use clap::Parser;
use serde_json::json;

use super::*;
use crate::cli::failure::exit_code;
use crate::cli::{Cli, Command};

fn args(words: &[&str]) -> PublishArgs {
    match Cli::try_parse_from(["weft", "publish", "orders"].iter().chain(words)).unwrap().command {
        Command::Publish(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_become_an_event_with_defaults() {
    let check = |words: &[&str], data: Option<&[u8]>, expect: Value| {
        let event = event(&args(words), "1".to_owned(), data).unwrap();
        assert_eq!(serde_json::to_value(event).unwrap(), expect, "{words:?}");
    };
    check(&["--type", "t"], None, json!({"specversion": "1.0", "id": "1", "source": "/weft/cli", "type": "t"}));
    check(
        &["--type", "t", "--source", "/shop", "--subject", "s", "--extension", "tenant=a=b"],
        Some(b"{\"amount\": 12}"),
        json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "t", "subject": "s", "tenant": "a=b",
            "datacontenttype": "application/json", "data": {"amount": 12}}),
    );
    check(
        &["--type", "t"],
        Some(b"hello"),
        json!({"specversion": "1.0", "id": "1", "source": "/weft/cli", "type": "t", "datacontenttype": "text/plain", "data": "hello"}),
    );
    check(
        &["--type", "t", "-d", "x", "--content-type", "application/xml"],
        Some(b"12"),
        json!({"specversion": "1.0", "id": "1", "source": "/weft/cli", "type": "t", "datacontenttype": "application/xml", "data": "12"}),
    );
    check(
        &["--type", "t"],
        Some(&[0xff]),
        json!({"specversion": "1.0", "id": "1", "source": "/weft/cli", "type": "t",
            "datacontenttype": "application/octet-stream", "data_base64": "/w=="}),
    );
}

#[test]
fn json_data_keeps_its_exact_text() {
    let data = br#"{"big": 12345678901234567890123, "e": 1.10}"#;
    let event = event(&args(&["--type", "t"]), "1".to_owned(), Some(data)).unwrap();
    assert_eq!(event["data"].get().as_bytes(), data);
}

#[test]
fn data_that_is_not_what_its_type_says_is_a_wrong_command() {
    let words = args(&["--type", "t", "-d", "x", "--content-type", "application/vnd.shop+JSON; v=1"]);
    let error = event(&words, "1".to_owned(), Some(b"{")).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    let twice = args(&["--type", "t", "--extension", "a=1", "--extension", "a=2"]);
    assert_eq!(exit_code(&event(&twice, "1".to_owned(), None).unwrap_err()), 2);
}

#[test]
fn a_written_event_is_sent_as_it_is_and_a_list_is_a_batch() {
    let check = |body: &str, expect: Result<&str, &str>| match (
        written("e.json", Bytes::copy_from_slice(body.as_bytes())),
        expect,
    ) {
        (Ok(message), Ok(media_type)) => {
            assert_eq!((message.media_type, &*message.body), (media_type, body.as_bytes()));
        }
        (Err(error), Err(said)) => assert!(error.to_string().contains(said), "{error}"),
        (found, expect) => panic!("{body}: {found:?} instead of {expect:?}"),
    };
    check(r#" {"id": "1"}"#, Ok("application/cloudevents+json"));
    check("[]", Ok("application/cloudevents-batch+json"));
    check("{\n  \"id\": }", Err("e.json:2:"));
    check("hello", Err("e.json is no event"));
    check("", Err("e.json is no event"));
}

#[test]
fn a_random_id_is_a_version_4_uuid() {
    let id = random_id().unwrap();
    let shape: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    assert_eq!(id.chars().nth(14), Some('4'));
    assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')), "{id}");
    assert_ne!(id, random_id().unwrap());
}

#[test]
fn the_answer_is_said_in_sentences() {
    let check = |accepted: Value, expect: &[&str]| {
        let body = json!({ "accepted": accepted }).to_string();
        assert_eq!(sentences(body.as_bytes(), "orders").unwrap(), expect);
    };
    check(json!([{"id": "a", "source": "/s", "sequence": "7"}]), &["accepted orders #7 (id a)"]);
    check(
        json!([{"id": "a", "sequence": "7", "duplicate": true}, {"id": "b", "sequence": "8", "durability": "relaxed"}]),
        &[
            "duplicate of orders #7 (id a): accepted once, kept once",
            "accepted orders #8 (id b), not on disk yet (durability: relaxed)",
        ],
    );
    check(json!([]), &["nothing to accept: orders took an empty list"]);
    assert_eq!(sentences(b"ok", "orders"), None);
}
