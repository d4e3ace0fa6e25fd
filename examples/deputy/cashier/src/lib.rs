//! Pays out what is asked for, by calling the bank: over HTTP, or as an event. It has the right to call the bank and asks
//! nobody whether the one who wants the money has it too: the mistake that is made everywhere, and that a policy about the
//! origin makes harmless.

use serde::{Deserialize, Serialize};
use weft_sdk::{Delivery, Error, Event, Request, Response, fetch};

#[derive(Serialize, Deserialize)]
struct Payout {
    to: String,
    amount: u32,
}

fn over_http(request: Request) -> Result<Response, Error> {
    if (request.method(), request.path()) != ("POST", "/payouts") {
        return Err(Error::status(404, "the cashier has POST /payouts"));
    }
    let payout: Payout = request.json()?;
    pay(&payout, request.origin()).map_err(|error| Error::status(502, error.message()))?;
    Ok(Response::new(200).with_text("paid\n"))
}

fn as_event(event: Event, delivery: &Delivery) -> Result<(), Error> {
    let payout: Payout = event.json()?;
    // A refused call is no trouble of the bank's that passes: the event is dead, not tried again.
    pay(&payout, delivery.origin()).map_err(|error| Error::reject(error.message()))
}

fn pay(payout: &Payout, origin: Option<&str>) -> Result<(), Error> {
    let bank = weft_sdk::env("BANK").ok_or_else(|| Error::new("BANK is not set: say where the bank is"))?;
    weft_sdk::log!("{} wants {} paid to {}", origin.unwrap_or("somebody"), payout.amount, payout.to);
    let answer = fetch(Request::post(format!("{bank}/payouts")).with_json(payout)?)?;
    if answer.is_success() { Ok(()) } else { Err(Error::new(format!("the bank answered {}", answer.status()))) }
}

weft_sdk::function!(over_http, events: as_event);

#[cfg(test)]
mod tests {
    use weft_sdk::serve;

    use super::*;

    #[test]
    fn what_is_no_payout_is_not_paid() {
        fn check(request: Request, status: u16) {
            assert_eq!(serve::request(over_http, request).status(), status);
        }
        check(Request::get("/payouts"), 404);
        check(Request::post("/payouts").with_text("all of it"), 400);
        // A whole one goes on to the bank, which a local test does not have.
        check(Request::post("/payouts").with_text(r#"{"to": "tea-shop", "amount": 12}"#), 502);
        let event = ["specversion: 1.0", "id: 7", "source: /desk", "type: payout.requested"]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .fold(Request::post("/"), |event, (name, value)| event.with_header(format!("ce-{name}"), value));
        assert_eq!(serve::event(as_event, event.with_body("all of it")).status(), 422);
    }
}
