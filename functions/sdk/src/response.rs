//! A response: what a handler answers, or what another function answered.

use std::fmt;
use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::Body;
use crate::{Error, Headers};

/// An HTTP response.
///
/// ```
/// use weft_sdk::Response;
///
/// let created = Response::new(201).with_header("location", "/orders/7").with_text("order 7\n");
/// assert_eq!(created.status(), 201);
///
/// // Written while the caller reads; an error in the middle ends the response visibly unfinished.
/// let report = Response::stream(200, |out| {
///     for line in 0..1000 {
///         writeln!(out, "line {line}")?;
///     }
///     Ok(())
/// });
/// ```
pub struct Response {
    status: u16,
    headers: Headers,
    body: Body,
}

impl Response {
    /// A response with this status and an empty body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Headers::default(), body: Body::from_bytes(Vec::new()) }
    }

    /// A response whose body is written after its head was sent.
    pub fn stream(status: u16, write: impl FnOnce(&mut dyn Write) -> Result<(), Error> + 'static) -> Self {
        Self { status, headers: Headers::default(), body: Body::from_writer(write) }
    }

    /// Adds a header, beside those of the same name.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Replaces all headers.
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the body; its type is yours to say with a `content-type` header.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::from_bytes(body.into());
        self
    }

    /// Sets the body to this text and the content type to `text/plain; charset=utf-8`.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.headers.set("content-type", "text/plain; charset=utf-8");
        self.with_body(text.into())
    }

    /// Sets the body to this value as JSON and the content type to `application/json`.
    pub fn with_json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, Error> {
        let json = serde_json::to_vec(value)?;
        self.headers.set("content-type", "application/json");
        Ok(self.with_body(json))
    }

    /// Sets the body to what this reader gives, sent as it is read.
    pub fn with_reader(mut self, reader: impl Read + 'static) -> Self {
        self.body = Body::from_reader(reader);
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is a `2xx`.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header (any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// All headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body. At most [`BODY_LIMIT`](crate::BODY_LIMIT) bytes are read, a larger one is an error.
    pub fn body(&self) -> Result<&[u8], Error> {
        self.body.read().map_err(Error::new)
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        Ok(std::str::from_utf8(self.body()?)?)
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_slice(self.body()?)?)
    }

    /// The body as a stream, without a limit of size.
    pub fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_parts(self) -> (u16, Headers, Body) {
        (self.status, self.headers, self.body)
    }
}

/// Problem details (RFC 9457) that say no more than they should.
#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// What the caller of a failed handler gets.
impl From<&Error> for Response {
    fn from(error: &Error) -> Self {
        let problem = Problem { status: error.status_code(), detail: error.public_message() };
        // Numbers and text always serialize; should they not, the status alone is still the right answer.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        Self::new(problem.status).with_header("content-type", "application/problem+json").with_body(body)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.status, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_caller_only_what_is_theirs() {
        fn check(error: Error, body: &str) {
            let response = Response::from(&error);
            assert_eq!((response.status(), response.text().unwrap()), (error.status_code(), body));
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
        }
        check(Error::new("secret"), r#"{"status":500}"#);
        check(Error::status(404, "no order 7"), r#"{"status":404,"detail":"no order 7"}"#);
    }

    #[test]
    fn the_last_body_and_its_type_win() {
        let response = Response::new(200).with_text("a").with_json(&[1]).unwrap();
        assert_eq!((response.header("content-type"), response.text().unwrap()), (Some("application/json"), "[1]"));
    }
}
