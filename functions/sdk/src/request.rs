//! A request: the one a function answers, or one it makes.

use std::fmt;
use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::{Body, ReadError};
use crate::{Error, Event, Headers};

/// An HTTP request. A handler gets one; [`call`](crate::call) and [`fetch`](crate::fetch) take one.
///
/// ```
/// use weft_sdk::Request;
///
/// let request = Request::post("/charge?currency=EUR").with_json(&serde_json::json!({ "amount": 12 }))?;
/// assert_eq!((request.method(), request.path()), ("POST", "/charge"));
/// assert_eq!(request.query_value("currency").as_deref(), Some("EUR"));
/// # Ok::<(), weft_sdk::Error>(())
/// ```
pub struct Request {
    method: String,
    target: String,
    authority: Option<String>,
    headers: Headers,
    body: Body,
}

impl Request {
    /// A request with an empty body. `target` is a path with an optional query (`/orders?open`), or for
    /// [`fetch`](crate::fetch) a whole URL (`https://api.bank.example/rates`).
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            authority: None,
            headers: Headers::default(),
            body: Body::from_bytes(Vec::new()),
        }
    }

    /// A `GET` request.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A `POST` request.
    pub fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target)
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

    pub(crate) fn with_target(mut self, target: String) -> Self {
        self.target = target;
        self
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn with_authority(mut self, authority: Option<String>) -> Self {
        self.authority = authority;
        self
    }

    /// The method, as it was written: `"GET"`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path without its query: `"/orders"`.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query without its question mark, as it was sent.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first query parameter of this name, decoded (`+` and `%20` are spaces); `Some("")` if it stands without a
    /// value.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query()?
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| decode_form(key) == name)
            .map(|(_, value)| decode_form(value))
    }

    /// The path with its query, or the URL, as it was given.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The host this request was sent to, with its port if there was one.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The first value of a header (any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// All headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Who emitted this message, as the mesh proved it: a SPIFFE id (`spiffe://weft.local/ns/default/sa/dev`) or a
    /// JWT's issuer and subject. On a delivery that is the publisher of the event.
    pub fn principal(&self) -> Option<&str> {
        self.header("x-weft-principal")
    }

    /// Who began the chain of calls and events that led here.
    pub fn origin(&self) -> Option<&str> {
        self.header("x-weft-origin")
    }

    /// Whether this request claims to carry a CloudEvent.
    pub fn is_event(&self) -> bool {
        crate::event::http::claims_event(&self.headers)
    }

    /// The CloudEvent this request carries, in binary or structured mode; `400` if it is none or not valid.
    pub fn event(&self) -> Result<Event, Error> {
        crate::event::http::decode(&self.headers, || self.body())
    }

    /// The body. At most [`BODY_LIMIT`](crate::BODY_LIMIT) bytes are read, a larger one is a `413`.
    pub fn body(&self) -> Result<&[u8], Error> {
        self.body.read().map_err(|error| match error {
            ReadError::TooLarge => Error::status(413, error),
            ReadError::Failed(_) => Error::status(400, error),
        })
    }

    /// The body as text; `400` if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(self.body()?).map_err(|error| Error::status(400, format!("the body is not text: {error}")))
    }

    /// The body as JSON; `400` with the parser's words if it does not fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(self.body()?)
            .map_err(|error| Error::status(400, format!("the body is not the expected JSON: {error}")))
    }

    /// The body as a stream, without a limit of size.
    pub fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_parts(self) -> (String, String, Headers, Body) {
        (self.method, self.target, self.headers, self.body)
    }
}

fn decode_form(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.target, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_split_and_decoded() {
        fn check(target: &str, path: &str, query: Option<&str>, name: Option<&str>) {
            let request = Request::get(target);
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
            assert_eq!(request.query_value("na me").as_deref(), name, "{target}");
        }
        check("/", "/", None, None);
        check("/a%20b?", "/a%20b", Some(""), None);
        check("/a?na%20me=x+y%21&na+me=z", "/a", Some("na%20me=x+y%21&na+me=z"), Some("x y!"));
        check("/a?na+me", "/a", Some("na+me"), Some(""));
        check("/a?x=1?na+me=2", "/a", Some("x=1?na+me=2"), None);
    }

    #[test]
    fn a_bad_body_is_the_callers_mistake() {
        let request = Request::post("/").with_body([0xff]);
        assert_eq!(request.text().unwrap_err().status_code(), 400);
        assert_eq!(request.json::<u8>().unwrap_err().status_code(), 400);
        let endless = Request::post("/").with_reader(std::io::repeat(0));
        assert_eq!(endless.body().unwrap_err().status_code(), 413);
    }
}
