//! The macros that make a crate a function: they export `wasi:http/incoming-handler` and hand each call to a handler.
//! Separate from `serve`, which is what they do, because a macro is hard to read and to test.

/// Makes this crate a function that answers requests, or requests and events.
///
/// ```
/// use weft_sdk::{Delivery, Error, Event, Request, Response};
///
/// fn page(request: Request) -> Result<Response, Error> {
///     Ok(Response::new(200).with_text(format!("you asked for {}\n", request.path())))
/// }
///
/// fn on_event(event: Event, _: &Delivery) -> Result<(), Error> {
///     weft_sdk::log!("got {}", event.id());
///     Ok(())
/// }
///
/// weft_sdk::function!(page, events: on_event); // or only: function!(page)
/// ```
///
/// The request handler is a `fn(Request) -> Result<Response, Error>`; without `events:` it gets events too, as the
/// requests they are ([`Request::event`](crate::Request::event)). What an event handler is: see
/// [`events!`](crate::events).
#[macro_export]
macro_rules! function {
    ($on_request:path $(,)?) => {
        $crate::__export!(|request| $crate::serve::request($on_request, request));
    };
    ($on_request:path, events: $on_event:path $(,)?) => {
        $crate::__export!(|request| $crate::serve::either($on_request, $on_event, request));
    };
}

/// Makes this crate a function that takes only events.
///
/// ```
/// use weft_sdk::{Delivery, Error, Event};
///
/// fn on_event(event: Event, delivery: &Delivery) -> Result<Option<Event>, Error> {
///     weft_sdk::log!("{:?} published {}", delivery.principal(), event.ty());
///     Ok(Some(Event::new("order.seen").with_subject(event.id())))
/// }
///
/// weft_sdk::events!(on_event);
/// ```
///
/// The handler is a `fn(Event, &Delivery) -> Result<R, Error>` where `R` is `()`, `Event` or `Option<Event>`
/// ([`IntoReply`](crate::IntoReply)).
#[macro_export]
macro_rules! events {
    ($on_event:path $(,)?) => {
        $crate::__export!(|request| $crate::serve::event($on_event, request));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($answer:expr) => {
        const _: () = {
            const ANSWER: fn($crate::Request) -> $crate::Response = $answer;

            #[cfg(target_arch = "wasm32")]
            struct Function;

            #[cfg(target_arch = "wasm32")]
            impl $crate::__hidden::wasip2::exports::http::incoming_handler::Guest for Function {
                fn handle(
                    request: $crate::__hidden::wasip2::http::types::IncomingRequest,
                    out: $crate::__hidden::wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::__hidden::serve(request, out, ANSWER);
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::__hidden::wasip2::http::proxy::export!(Function with_types_in $crate::__hidden::wasip2);

            // On the machine that runs a function's own tests there is nothing to export to.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn($crate::Request) -> $crate::Response = ANSWER;
        };
    };
}

/// What the macros' expansions need and nobody else should use.
pub mod hidden {
    #[cfg(target_arch = "wasm32")]
    pub use crate::host::serve;
    #[cfg(target_arch = "wasm32")]
    pub use wasip2;

    /// See [`log!`](crate::log).
    pub fn write_line(line: std::fmt::Arguments<'_>) {
        crate::log::write_line(line);
    }
}
