//! Calls whatever it is told to, byte for byte, and says what it was sent itself, so that tests can see what leaves and
//! what arrives. It stands on the bare bindings, because the SDK would not let it.
//!
//! `POST /dial` takes JSON, a list of calls, and makes them one after the other: `{scheme, authority, path, method,
//! headers: [[name, value]], trailers: […], body}`, of which only `authority` is needed. The answer is a list with one
//! element for each: `{status, headers, trailers, body}`, `{error}` with the code of `wasi:http`, or `{refused}` with the
//! part of the call that the host did not take. `GET /seen` and everything else: what the request was, as `{method,
//! authority, headers, trailers, body}`; `POST /forward?to=AUTHORITY` sends the same to that address and is answered as
//! it is.
#![cfg(target_arch = "wasm32")]

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};

type Pairs = Vec<(String, String)>;

/// What `blocking-write-and-flush` takes at once, in bytes (wasi:io 0.2).
const CHUNK: usize = 4096;

#[derive(Deserialize)]
#[serde(default)]
struct Call {
    scheme: String,
    authority: String,
    path: String,
    method: String,
    headers: Pairs,
    trailers: Pairs,
    body: String,
}

impl Default for Call {
    fn default() -> Self {
        let [scheme, path, method] = ["http", "/", "GET"].map(str::to_owned);
        Self { scheme, path, method, authority: String::new(), headers: vec![], trailers: vec![], body: String::new() }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Answered { status: u16, headers: Pairs, trailers: Pairs, body: String },
    Failed { error: String },
    Refused { refused: &'static str },
}

#[derive(Serialize)]
struct Seen {
    method: String,
    authority: Option<String>,
    headers: Pairs,
    trailers: Pairs,
    body: String,
}

struct Dialer;

wasip2::http::proxy::export!(Dialer);

impl wasip2::exports::http::incoming_handler::Guest for Dialer {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let seen = seen(request);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, body) = match path {
            "/dial" => dial_all(&seen.body),
            "/forward" => forward(query, &seen),
            _ => (200, serde_json::to_string(&seen).unwrap_or_default()),
        };
        answer(out, status, &body);
    }
}

fn dial_all(list: &str) -> (u16, String) {
    match serde_json::from_str::<Vec<Call>>(list) {
        Ok(calls) => {
            let outcomes: Vec<Outcome> = calls.iter().map(dial).collect();
            (200, serde_json::to_string(&outcomes).unwrap_or_default())
        }
        Err(error) => (400, error.to_string()),
    }
}

fn forward(query: &str, seen: &Seen) -> (u16, String) {
    let authority = query.strip_prefix("to=").unwrap_or_default().to_owned();
    let body = serde_json::to_string(seen).unwrap_or_default();
    match dial(&Call { authority, body, method: "POST".to_owned(), ..Call::default() }) {
        Outcome::Answered { status, body, .. } => (status, body),
        failed => (500, serde_json::to_string(&failed).unwrap_or_default()),
    }
}

fn dial(call: &Call) -> Outcome {
    match send(call) {
        Ok(outcome) => outcome,
        Err(Trouble::Refused(refused)) => Outcome::Refused { refused },
        Err(Trouble::Failed(code)) => Outcome::Failed { error: format!("{code:?}") },
    }
}

enum Trouble {
    Refused(&'static str),
    Failed(ErrorCode),
}

impl From<ErrorCode> for Trouble {
    fn from(code: ErrorCode) -> Self {
        Self::Failed(code)
    }
}

fn send(call: &Call) -> Result<Outcome, Trouble> {
    let refused = Trouble::Refused;
    let head = OutgoingRequest::new(fields(&call.headers).ok_or(refused("headers"))?);
    head.set_method(&method(&call.method)).map_err(|()| refused("method"))?;
    let scheme = match call.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    head.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    head.set_authority(Some(&call.authority)).map_err(|()| refused("authority"))?;
    head.set_path_with_query(Some(&call.path)).map_err(|()| refused("path"))?;
    let body = head.body().map_err(|()| refused("body"))?;
    let trailers = fields(&call.trailers).ok_or(refused("trailers"))?;

    let pending = outgoing_handler::handle(head, None)?;
    // A call that is refused does not read its body; its answer says why.
    let _ = write(&body, call.body.as_bytes());
    let _ = OutgoingBody::finish(body, (!call.trailers.is_empty()).then_some(trailers));
    pending.subscribe().block();
    let answered = pending.get().ok_or(refused("nothing came"))?;
    let response = answered.map_err(|()| refused("the answer was gone"))??;
    let headers = pairs(&response.headers());
    let (body, trailers) = read(response.consume().map_err(|()| refused("the body was gone"))?);
    Ok(Outcome::Answered { status: response.status(), headers, trailers, body })
}

fn seen(request: IncomingRequest) -> Seen {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    let (authority, headers) = (request.authority(), pairs(&request.headers()));
    let (body, trailers) = request.consume().map(read).unwrap_or_default();
    Seen { method, authority, headers, trailers, body }
}

fn read(body: IncomingBody) -> (String, Pairs) {
    let mut bytes = Vec::new();
    if let Ok(mut stream) = body.stream() {
        // What came before a body broke off is what there is to tell.
        let _ = std::io::Read::by_ref(&mut stream).read_to_end(&mut bytes);
    }
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let trailers = match trailers.get() {
        Some(Ok(Ok(Some(fields)))) => pairs(&fields),
        _ => Pairs::new(),
    };
    (String::from_utf8_lossy(&bytes).into_owned(), trailers)
}

fn answer(out: ResponseOutparam, status: u16, body: &str) {
    let response = OutgoingResponse::new(Fields::new());
    let _ = response.set_status_code(status);
    let Ok(outgoing) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    let _ = write(&outgoing, body.as_bytes());
    let _ = OutgoingBody::finish(outgoing, None);
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    for chunk in bytes.chunks(CHUNK) {
        stream.blocking_write_and_flush(chunk).map_err(|_| ())?;
    }
    Ok(())
}

fn fields(pairs: &Pairs) -> Option<Fields> {
    let list: Vec<_> = pairs.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    Fields::from_list(&list).ok()
}

fn pairs(fields: &Fields) -> Pairs {
    let entries = fields.entries().into_iter();
    entries.map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect()
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    }
}
