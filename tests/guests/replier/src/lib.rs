//! Answers an event with whatever a test wants to see the mesh handle. The path says what, or the event's data
//! (`{"reply": "event"}`) if there is a `reply` in it:
//!
//! `event` replies with an event in binary mode, `structured` in structured mode (type `replied`, id `reply-ID`);
//! `none` is 204, `accept` 202, `text` 200 with text; `invalid` claims to be an event and has no id; `error` is a
//! handler's error (500); `status` answers with `status` of the data or the query, and `retryAfter` as its Retry-After.
#![cfg(target_arch = "wasm32")]

use serde::Deserialize;
use weft_sdk::{Error, Request, Response};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wish {
    reply: Option<String>,
    status: Option<u16>,
    retry_after: Option<String>,
}

fn reply(request: Request) -> Result<Response, Error> {
    let event = request.event()?;
    // Data that is no wish at all is a test's own business: then the path alone says what to do.
    let wish: Wish = event.json().unwrap_or_default();
    let what = wish.reply.unwrap_or_else(|| request.path().trim_matches('/').to_owned());
    let id = format!("reply-{}", event.id());
    match what.as_str() {
        "event" => Ok(Response::new(200)
            .with_header("ce-specversion", "1.0")
            .with_header("ce-id", id)
            .with_header("ce-source", "/replier")
            .with_header("ce-type", "replied")
            .with_header("content-type", event.datacontenttype().unwrap_or("application/octet-stream"))
            .with_body(event.data())),
        "structured" => Ok(Response::new(200)
            .with_header("content-type", "application/cloudevents+json")
            .with_body(format!(r#"{{"specversion":"1.0","id":"{id}","source":"/replier","type":"replied"}}"#))),
        "invalid" => Ok(Response::new(200).with_header("ce-specversion", "1.0").with_header("ce-type", "replied")),
        "none" => Ok(Response::new(204)),
        "accept" => Ok(Response::new(202)),
        "text" => Ok(Response::new(200).with_text("this is no event\n")),
        "error" => Err(Error::new("as it was asked to")),
        "status" => {
            let asked = wish.status.or_else(|| request.query_value("status")?.parse().ok()).unwrap_or(200);
            let retry_after = wish.retry_after.or_else(|| request.query_value("retryAfter"));
            let response = Response::new(asked);
            Ok(match retry_after {
                Some(value) => response.with_header("retry-after", value),
                None => response,
            })
        }
        other => Err(Error::reject(format!("no reply `{other}`"))),
    }
}

weft_sdk::function!(reply);
