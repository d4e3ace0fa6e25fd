//! Answers with what it got, so that a test can see what reaches a function.
//!
//! The answer is 200 and JSON: `{method, path, query, authority, principal, origin, headers: [[name, value]], body}`,
//! where
//! `body` is text or, if it is not UTF-8, `bodyBase64`. The query changes it:
//! `status=503` the status; `sleep=250` waits that many milliseconds first; `raw` streams the body back as it came,
//! with its content type; `env=NAME` adds `env`, the value of that variable; `log=TEXT` writes a line to the log.
//! A request header `x-echo-NAME` comes back as the response header `NAME`.
#![cfg(target_arch = "wasm32")]

use base64::Engine as _;
use serde::Serialize;
use weft_sdk::{Error, Headers, Request, Response};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authority: Option<&'a str>,
    principal: Option<&'a str>,
    origin: Option<&'a str>,
    headers: Vec<(&'a str, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
}

fn echo(request: Request) -> Result<Response, Error> {
    if let Some(line) = request.query_value("log") {
        weft_sdk::log!("{line}");
    }
    if let Some(millis) = number(&request, "sleep")? {
        wasip2::clocks::monotonic_clock::subscribe_duration(millis * 1_000_000).block();
    }
    let status = number(&request, "status")?.and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let response = Response::new(status).with_headers(asked_headers(request.headers()));
    if request.query_value("raw").is_some() {
        let content_type = request.header("content-type").unwrap_or("application/octet-stream").to_owned();
        return Ok(response.with_header("content-type", content_type).with_reader(request.into_reader()));
    }
    response.with_json(&seen(&request)?)
}

fn seen(request: &Request) -> Result<Seen<'_>, Error> {
    let body = request.body()?;
    let text = std::str::from_utf8(body).ok();
    Ok(Seen {
        method: request.method(),
        path: request.path(),
        query: request.query(),
        authority: request.authority(),
        principal: request.principal(),
        origin: request.origin(),
        headers: request.headers().iter().map(|(name, value)| (name, String::from_utf8_lossy(value).into())).collect(),
        body: text,
        body_base64: text.is_none().then(|| base64::engine::general_purpose::STANDARD.encode(body)),
        env: request.query_value("env").and_then(|name| weft_sdk::env(&name)),
    })
}

fn asked_headers(headers: &Headers) -> Headers {
    headers
        .iter()
        .filter_map(|(name, value)| name.strip_prefix("x-echo-").map(|name| (name.to_owned(), value.to_vec())))
        .collect()
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, Error> {
    let Some(text) = request.query_value(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Error::status(400, format!("`{name}` takes a number, not `{text}`")))
}

weft_sdk::function!(echo);
