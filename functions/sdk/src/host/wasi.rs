//! The mesh as a module sees it: WASI 0.2's http, clocks, random, environment and stderr. Nothing else in the SDK knows
//! the bindings.

use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasip2::cli::{environment::get_environment, stderr::get_stderr};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::InputStream;

use crate::body::Body;
use crate::{Error, Headers, Request, Response, log};

/// What `blocking-write-and-flush` takes at once, in bytes (wasi:io 0.2).
const STREAM_CHUNK: usize = 4096;

/// Headers that belong to one connection, so that a message can be handed on with all the others. A host refuses them.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

pub(crate) fn environment(name: &str) -> Option<String> {
    get_environment().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

pub(crate) fn now() -> SystemTime {
    let now = wasip2::clocks::wall_clock::now();
    UNIX_EPOCH + Duration::new(now.seconds, now.nanoseconds)
}

pub(crate) fn random() -> u64 {
    wasip2::random::random::get_random_u64()
}

/// A log that cannot be written must not fail the function: what is lost is counted by the host.
pub(crate) fn write_log(line: &str) {
    let stderr = get_stderr();
    for chunk in line.as_bytes().chunks(STREAM_CHUNK) {
        if stderr.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// The whole life of one call: what the exporting macros hand `wasi:http/incoming-handler` to.
pub fn serve(request: IncomingRequest, out: ResponseOutparam, answer: impl FnOnce(Request) -> Response) {
    // Where std has no stderr of its own, a panic would otherwise say nothing before the trap.
    std::panic::set_hook(Box::new(|info| log!("{info}")));
    let response = match receive(request) {
        Ok(request) => answer(request),
        Err(error) => Response::from(&error),
    };
    if let Err(error) = respond(response, out) {
        log!("sending the response: {error}");
    }
}

fn receive(request: IncomingRequest) -> Result<Request, Error> {
    let body = request.consume().map_err(|()| Error::new("the host gave the body away already"))?;
    let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
    Ok(Request::new(method_name(request.method()), target)
        .with_authority(request.authority())
        .with_headers(Headers::from_iter(request.headers().entries()))
        .with_reader(Incoming::new(body)?))
}

fn respond(response: Response, out: ResponseOutparam) -> Result<(), Error> {
    let (status, headers, body) = response.into_parts();
    let length = if matches!(status, 204 | 304) { None } else { body.len() };
    let (head, body) = match response_head(status, &headers, length) {
        Ok(head) => (head, body),
        Err(error) => {
            log!("the handler's response is not valid: {error}");
            (response_head(500, &Headers::default(), Some(0))?, Body::from_bytes(Vec::new()))
        }
    };
    let outgoing = head.body().map_err(|()| Error::new("the host has no body for it"))?;
    ResponseOutparam::set(out, Ok(head));
    send_body(body, outgoing)
}

fn response_head(status: u16, headers: &Headers, length: Option<usize>) -> Result<OutgoingResponse, Error> {
    let head = OutgoingResponse::new(fields(headers, length)?);
    head.set_status_code(status).map_err(|()| Error::new(format!("{status} is no status code")))?;
    Ok(head)
}

/// Sends a request through the mesh and waits for the head of its answer.
pub(crate) fn send(scheme: &str, authority: &str, request: Request) -> Result<Response, Error> {
    let (method, target, headers, body) = request.into_parts();
    let bad = |part: &str, value: &str| Error::new(format!("`{value}` is no {part}"));
    let length = body.len().filter(|length| *length > 0);
    let head = OutgoingRequest::new(fields(&headers, length)?);
    head.set_method(&method_value(&method)).map_err(|()| bad("method", &method))?;
    let scheme_value = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    head.set_scheme(Some(&scheme_value)).map_err(|()| bad("scheme", scheme))?;
    head.set_authority(Some(authority)).map_err(|()| bad("authority", authority))?;
    head.set_path_with_query(Some(&target)).map_err(|()| bad("path", &target))?;
    let outgoing = head.body().map_err(|()| Error::new("the host has no body for it"))?;

    let pending = outgoing_handler::handle(head, None).map_err(failed)?;
    // A refused call does not read its body: the answer says more than the broken pipe.
    let sent = send_body(body, outgoing);
    pending.subscribe().block();
    let answered = pending.get().ok_or_else(|| Error::new("the host answered before it was ready"))?;
    let response = answered.map_err(|()| Error::new("the host gave the answer away already"))?.map_err(failed)?;
    match sent {
        Err(error) if (200..300).contains(&response.status()) => Err(error.context("sending the body")),
        _ => answer(&response),
    }
}

fn answer(response: &IncomingResponse) -> Result<Response, Error> {
    let body = response.consume().map_err(|()| Error::new("the host gave the body away already"))?;
    Ok(Response::new(response.status())
        .with_headers(Headers::from_iter(response.headers().entries()))
        .with_reader(Incoming::new(body)?))
}

fn failed(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => {
            Error::new("HTTP-request-denied: list the host in `allowHosts` and allow `egress` by a policy")
        }
        other => Error::new(other),
    }
}

fn send_body(body: Body, outgoing: OutgoingBody) -> Result<(), Error> {
    {
        let mut stream = outgoing.write().map_err(|()| Error::new("the host gave the body's stream away already"))?;
        body.write_to(&mut stream)?;
        Write::flush(&mut stream)?;
    }
    // Not reached after an error: a body dropped unfinished is one that its reader sees as broken off.
    OutgoingBody::finish(outgoing, None).map_err(failed)
}

fn fields(headers: &Headers, length: Option<usize>) -> Result<Fields, Error> {
    let mut headers = headers.clone();
    OF_THE_CONNECTION.iter().for_each(|name| headers.remove(name));
    if let Some(length) = length {
        headers.set("content-length", length.to_string());
    }
    let list: Vec<_> = headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    Fields::from_list(&list).map_err(|error| Error::new(format!("a header was refused: {error}")))
}

fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    }
    .to_owned()
}

fn method_value(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// A body on its way in. The stream stands first: it must be dropped before the body that it belongs to.
struct Incoming {
    stream: InputStream,
    _body: IncomingBody,
}

impl Incoming {
    fn new(body: IncomingBody) -> Result<Self, Error> {
        let stream = body.stream().map_err(|()| Error::new("the host gave the body's stream away already"))?;
        Ok(Self { stream, _body: body })
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The binding's own `read` is another one, which does not wait.
        Read::read(&mut self.stream, buffer)
    }
}
