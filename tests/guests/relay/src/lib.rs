//! Makes an outgoing call for each request or event it gets, so that tests can see what a function's own calls look
//! like from the other side. The path says which:
//!
//! `/publish/TOPIC` or `/publish/NS/TOPIC` publishes an event: what it got with the type `relayed` and the id
//! `relayed-ID`, or for a plain request a new event with the request's body; `/call/NS/NAME/PATH…` calls a function
//! with the same method, query and body; `/fetch?url=URL` fetches a URL.
//!
//! A request is answered with the receipt as JSON, or with the status, headers and body of what was called. An event
//! is answered 204 if the call went well and with a retryable error if not; at `/reply` it is answered with an event of
//! the type `replied`.
#![cfg(target_arch = "wasm32")]

use serde::Serialize;
use weft_sdk::{Delivery, Error, Event, Request, Response, call, fetch, publish};

#[derive(Serialize)]
struct Published {
    id: String,
    sequence: String,
    duplicate: bool,
}

fn on_request(request: Request) -> Result<Response, Error> {
    relay(request, None)
}

fn on_event(event: Event, delivery: &Delivery) -> Result<Option<Event>, Error> {
    if delivery.path() == "/reply" {
        return Ok(Some(Event::new("replied").with_id(format!("reply-{}", event.id()))));
    }
    let incoming = delivery.request();
    let request = Request::post(incoming.target()).with_body(event.data());
    let answer = relay(request, Some(event))?;
    if answer.is_success() { Ok(None) } else { Err(Error::retry(format!("the call was answered {}", answer.status()))) }
}

fn relay(request: Request, event: Option<Event>) -> Result<Response, Error> {
    let path = request.path().to_owned();
    let (verb, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match verb {
        "publish" => {
            let event = relayed(&request, event)?;
            let receipt = publish(rest, &event)?;
            let published = Published { id: receipt.id, sequence: receipt.sequence, duplicate: receipt.duplicate };
            Response::new(200).with_json(&published)
        }
        "call" => call_on(rest, &request),
        "fetch" => {
            let url = request.query_value("url").ok_or_else(|| Error::status(400, "/fetch needs ?url=…"))?;
            handed_on(fetch(Request::get(url))?)
        }
        _ => Err(Error::status(404, format!("no {path}; there are /publish, /call and /fetch"))),
    }
}

fn relayed(request: &Request, event: Option<Event>) -> Result<Event, Error> {
    Ok(match event {
        Some(event) => {
            let id = format!("relayed-{}", event.id());
            let content_type = event.datacontenttype().unwrap_or("application/octet-stream").to_owned();
            Event::new("relayed").with_id(id).with_data(content_type, event.data())
        }
        None => Event::new("relayed").with_data("application/octet-stream", request.body()?),
    })
}

fn call_on(rest: &str, request: &Request) -> Result<Response, Error> {
    let mut parts = rest.splitn(3, '/');
    let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
        return Err(Error::status(400, "/call needs /call/NAMESPACE/NAME/PATH"));
    };
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/{}{query}", parts.next().unwrap_or_default());
    let outgoing = Request::new(request.method(), target).with_body(request.body()?);
    handed_on(call(&format!("{namespace}/{name}"), outgoing)?)
}

fn handed_on(answer: Response) -> Result<Response, Error> {
    Ok(Response::new(answer.status()).with_headers(answer.headers().clone()).with_reader(answer.into_reader()))
}

weft_sdk::function!(on_request, events: on_event);
