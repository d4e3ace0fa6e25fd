//! From a request to a response: what the exporting macros wrap around a handler. Public, so that a function's own
//! tests can call its handlers the way the mesh does, on any machine.

use crate::{Error, Event, Request, Response, log};

/// Answers a request with a request handler. A failure is logged and becomes its status.
pub fn request(handler: impl FnOnce(Request) -> Result<Response, Error>, request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.path());
    handler(request).unwrap_or_else(|error| failed(&what, &error))
}

/// Answers a request that carries an event with an event handler: `200` and the reply in binary mode, or `204`.
/// Something that is no event is a `415`, an invalid event a `400`.
///
/// ```
/// use weft_sdk::{Delivery, Error, Event, Request, serve};
///
/// fn on_event(event: Event, _: &Delivery) -> Result<Event, Error> {
///     Ok(Event::new("seen").with_subject(event.id()))
/// }
///
/// let request = Request::post("/")
///     .with_header("ce-specversion", "1.0")
///     .with_header("ce-id", "7")
///     .with_header("ce-source", "/test")
///     .with_header("ce-type", "order.created");
/// let response = serve::event(on_event, request);
/// assert_eq!((response.status(), response.header("ce-subject")), (200, Some("7")));
/// ```
pub fn event<R: IntoReply>(handler: impl FnOnce(Event, &Delivery) -> Result<R, Error>, request: Request) -> Response {
    if !request.is_event() {
        let error = Error::status(415, "this function takes CloudEvents: POST one in binary or structured mode");
        return failed(&format!("{} {}", request.method(), request.path()), &error);
    }
    let event = match request.event() {
        Ok(event) => event,
        Err(error) => return failed("an event", &error),
    };
    let what = format!("event {} ({}) from {}", event.id(), event.ty(), event.source());
    handler(event, &Delivery { request })
        .and_then(|reply| reply_response(reply.into_reply()))
        .unwrap_or_else(|error| failed(&what, &error))
}

/// Answers events with the event handler and everything else with the request handler.
pub fn either<R: IntoReply>(
    on_request: impl FnOnce(Request) -> Result<Response, Error>,
    on_event: impl FnOnce(Event, &Delivery) -> Result<R, Error>,
    incoming: Request,
) -> Response {
    if incoming.is_event() { event(on_event, incoming) } else { request(on_request, incoming) }
}

fn failed(what: &str, error: &Error) -> Response {
    log!("{what}: {} {error}", error.status_code());
    Response::from(error)
}

fn reply_response(reply: Option<Event>) -> Result<Response, Error> {
    let Some(event) = reply else { return Ok(Response::new(204)) };
    let (headers, data) = crate::event::http::encode(&event)?;
    Ok(Response::new(200).with_headers(headers).with_body(data))
}

/// What an event handler may answer with: nothing, an [`Event`], or perhaps one. The mesh publishes it to the trigger's
/// `reply` topic.
pub trait IntoReply {
    /// The event to reply with.
    fn into_reply(self) -> Option<Event>;
}

impl IntoReply for () {
    fn into_reply(self) -> Option<Event> {
        None
    }
}

impl IntoReply for Event {
    fn into_reply(self) -> Option<Event> {
        Some(self)
    }
}

impl IntoReply for Option<Event> {
    fn into_reply(self) -> Option<Event> {
        self
    }
}

/// How an event came to its handler.
#[derive(Debug)]
pub struct Delivery {
    request: Request,
}

impl Delivery {
    /// Who published the event, as the mesh proved it.
    pub fn principal(&self) -> Option<&str> {
        self.request.principal()
    }

    /// Who began the chain of calls and events that led here.
    pub fn origin(&self) -> Option<&str> {
        self.request.origin()
    }

    /// The trigger's `path`.
    pub fn path(&self) -> &str {
        self.request.path()
    }

    /// The request that carried the event; its body has been read.
    pub fn request(&self) -> &Request {
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Request {
        let (mut headers, data) = crate::event::http::encode(&Event::new("order.created").with_id("7")).unwrap();
        headers.append("x-weft-principal", "spiffe://weft.local/ns/default/sa/dev");
        Request::post("/events?x=1").with_headers(headers).with_body(data)
    }

    #[test]
    fn a_handlers_result_becomes_a_status() {
        fn check<R: IntoReply>(result: Result<R, Error>, status: u16, ty: Option<&str>) {
            let response = event(|_, _| result, delivery());
            assert_eq!((response.status(), response.header("ce-type")), (status, ty));
        }
        check(Ok(()), 204, None);
        check(Ok(None::<Event>), 204, None);
        check(Ok(Some(Event::new("done"))), 200, Some("done"));
        check(Ok(Event::new("done")), 200, Some("done"));
        check(Ok(Event::new("done").with_extension("NO", 1)), 500, None);
        check(Err::<(), _>(Error::retry("later")), 503, None);
        check(Err::<(), _>(Error::reject("never")), 422, None);
    }

    #[test]
    fn a_delivery_names_its_publisher() {
        let response = event(
            |event, delivery| {
                assert_eq!((event.id(), delivery.path()), ("7", "/events"));
                assert_eq!(delivery.principal(), Some("spiffe://weft.local/ns/default/sa/dev"));
                Ok(())
            },
            delivery(),
        );
        assert_eq!(response.status(), 204);
    }

    #[test]
    fn what_is_no_event_goes_to_the_request_handler_or_is_refused() {
        let page = |_: Request| Ok(Response::new(200).with_text("page"));
        let never = |_: Event, _: &Delivery| -> Result<(), Error> { unreachable!("this is no event") };
        assert_eq!(event(never, Request::post("/")).status(), 415);
        assert_eq!(either(page, never, Request::get("/")).text().unwrap(), "page");
        assert_eq!(either(page, |_, _| Ok(()), delivery()).status(), 204);
        assert_eq!(event(never, Request::post("/").with_header("ce-specversion", "2.0")).status(), 400);
    }
}
