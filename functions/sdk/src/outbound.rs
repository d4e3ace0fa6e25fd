//! What a function sends: events to topics, calls to other functions, requests to the outside. Each is only an HTTP
//! request to a name; the mesh turns it into a call of this function's own identity and asks policy.

use serde::Deserialize;

use crate::{Error, Event, Request, Response, host};

/// What a topic answered: the event is durable there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// The id of the event.
    pub id: String,
    /// Its place in the topic: opaque, growing.
    pub sequence: String,
    /// Whether the topic already had this event, so that nothing was added.
    #[serde(default)]
    pub duplicate: bool,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: Vec<Receipt>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Publishes an event to a topic: `"orders"` of this function's namespace, or `"shop/orders"`. Returns when the event
/// is durable.
///
/// ```no_run
/// # use weft_sdk::{Error, Event, publish};
/// # fn example() -> Result<(), Error> {
/// let receipt = publish("orders", &Event::new("order.created").with_json(&serde_json::json!({ "amount": 12 }))?)?;
/// weft_sdk::log!("order is number {} of its topic", receipt.sequence);
/// # Ok(())
/// # }
/// ```
///
/// Fails when policy denies it, the topic does not exist or is full; the message names the status, the mesh's reason
/// code and the decision that `weft explain` resolves.
pub fn publish(topic: &str, event: &Event) -> Result<Receipt, Error> {
    let place = Place::parse(topic)?;
    let attempted = || format!("publishing event {} to topic {}/{}", event.id(), place.namespace, place.name);
    let (headers, data) = crate::event::http::encode(event)?;
    let request = Request::post(format!("/{}/{}", place.namespace, place.name)).with_headers(headers).with_body(data);
    let response = host::send("http", "topics.weft.internal", request).map_err(|error| error.context(attempted()))?;
    if response.status() != 202 {
        return Err(refusal(&response).context(attempted()));
    }
    let accepted: Accepted = response.json().map_err(|error| error.context(attempted()))?;
    accepted.accepted.into_iter().next().ok_or_else(|| Error::new("the topic accepted nothing").context(attempted()))
}

/// Calls another function: `"billing"` of this function's namespace, or `"shop/billing"`. The request's target is a
/// path. Any status is `Ok`; an error means there was no answer.
///
/// ```no_run
/// # use weft_sdk::{Error, Request, call};
/// # fn example() -> Result<(), Error> {
/// let answer = call("billing", Request::get("/invoices/7"))?;
/// if !answer.is_success() {
///     return Err(Error::retry(format!("billing answered {}", answer.status())));
/// }
/// # Ok(())
/// # }
/// ```
pub fn call(function: &str, request: Request) -> Result<Response, Error> {
    let place = Place::parse(function)?;
    let attempted = format!("calling function {}/{}", place.namespace, place.name);
    if !request.target().starts_with('/') {
        let target = request.target();
        return Err(Error::new(format!("`{target}` is not a path; it begins with `/`")).context(attempted));
    }
    let authority = format!("{}.{}.weft.internal", place.name, place.namespace);
    host::send("http", &authority, request).map_err(|error| error.context(attempted))
}

/// Sends a request to the outside. Its target is a whole URL, whose host the function's manifest must list in
/// `allowHosts` and policy must permit.
pub fn fetch(request: Request) -> Result<Response, Error> {
    let attempted = format!("fetching {}", request.target().split('?').next().unwrap_or_default());
    let (scheme, authority, path) = split_url(request.target()).map_err(|error| error.context(&attempted))?;
    host::send(&scheme, &authority, request.with_target(path)).map_err(|error| error.context(&attempted))
}

/// A thing of the mesh by its name, in this function's namespace unless it says another.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    namespace: String,
    name: String,
}

impl Place {
    fn parse(text: &str) -> Result<Self, Error> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (crate::namespace(), text.to_owned()),
        };
        if [&namespace, &name].iter().all(|part| is_label(part)) {
            Ok(Self { namespace, name })
        } else {
            Err(Error::new(format!("`{text}` names nothing of the mesh: write `name` or `namespace/name`")))
        }
    }
}

/// A DNS label (RFC 1123): such names cannot change the host or path they are put into.
fn is_label(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// Scheme, authority and path with query. A fragment is not sent.
fn split_url(url: &str) -> Result<(String, String, String), Error> {
    let bad = || Error::new("it is not an http or https URL");
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !matches!(scheme.as_str(), "http" | "https") || authority.is_empty() {
        return Err(bad());
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((scheme, authority.to_owned(), path))
}

/// The mesh's refusal in one line, with what an operator needs to ask why.
fn refusal(response: &Response) -> Error {
    let code = response.json::<Problem>().map_or_else(|_| "without a reason code".to_owned(), |problem| problem.code);
    let decision = response.header("x-weft-decision").map(|id| format!(", see `weft explain {id}`"));
    Error::new(format!("the mesh answered {} {code}{}", response.status(), decision.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_in_the_functions_own_namespace() {
        fn check(text: &str, expect: Option<(&str, &str)>) {
            let place = Place::parse(text).ok();
            assert_eq!(place.as_ref().map(|p| (p.namespace.as_str(), p.name.as_str())), expect, "{text}");
        }
        check("orders", Some(("default", "orders")));
        check("shop/orders-2", Some(("shop", "orders-2")));
        for bad in ["", "/", "a/", "/a", "a/b/c", "a.b", "Orders", "-a", "a-", "a b", "ä", &"a".repeat(64)] {
            check(bad, None);
        }
    }

    #[test]
    fn urls_are_split_for_the_host() {
        fn check(url: &str, expect: Option<(&str, &str, &str)>) {
            let parts = split_url(url).ok();
            assert_eq!(parts.as_ref().map(|(s, a, p)| (s.as_str(), a.as_str(), p.as_str())), expect, "{url}");
        }
        check("https://bank.example:443/a/b?c=/d#e", Some(("https", "bank.example:443", "/a/b?c=/d")));
        check("HTTP://bank.example", Some(("http", "bank.example", "/")));
        check("http://bank.example?c", Some(("http", "bank.example", "/?c")));
        for bad in ["/a", "bank.example", "ftp://bank.example/", "http://", "http:///a"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_refusal_says_where_to_ask() {
        let response = Response::new(403)
            .with_header("x-weft-decision", "d-7")
            .with_body(r#"{"type":"about:blank","status":403,"code":"AUTHZ_DENIED"}"#);
        assert_eq!(refusal(&response).message(), "the mesh answered 403 AUTHZ_DENIED, see `weft explain d-7`");
        assert_eq!(refusal(&Response::new(502)).message(), "the mesh answered 502 without a reason code");
    }

    #[test]
    fn a_receipt_reads_what_a_topic_answers() {
        let body =
            r#"{"accepted":[{"id":"7","source":"/shop","sequence":"41","duplicate":true,"durability":"relaxed"}]}"#;
        let accepted: Accepted = serde_json::from_str(body).unwrap();
        let expect = Receipt { id: "7".into(), sequence: "41".into(), duplicate: true };
        assert_eq!(accepted.accepted, [expect]);
    }
}
