//! Takes orders over HTTP. It publishes what happened and does not know who cares.

use serde::{Deserialize, Serialize};
use weft_sdk::{Error, Event, Request, Response, publish};

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    amount: u32,
}

#[derive(Serialize)]
struct Accepted {
    order: String,
    sequence: String,
}

fn shop(request: Request) -> Result<Response, Error> {
    match (request.method(), request.path()) {
        ("POST", "/orders") => order(&request),
        ("GET", "/") => Ok(Response::new(200).with_text("POST /orders {\"item\": \"tea\", \"amount\": 12}\n")),
        _ => Err(Error::status(404, "the shop has POST /orders")),
    }
}

fn order(request: &Request) -> Result<Response, Error> {
    let order: Order = request.json()?;
    if order.item.is_empty() || order.amount == 0 {
        return Err(Error::status(400, "an order has an item and an amount"));
    }
    // The subject is what triggers may filter by without reading the data.
    let event = Event::new("order.created").with_subject(&order.item).with_json(&order)?;
    let receipt = publish("orders", &event)?;
    weft_sdk::log!("order {} of {} for {}", receipt.id, request.principal().unwrap_or("somebody"), order.item);
    // 202, not 201: the order is safe, and the rest happens later.
    Response::new(202).with_json(&Accepted { order: receipt.id, sequence: receipt.sequence })
}

weft_sdk::function!(shop);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_orders_are_taken() {
        fn check(request: Request, status: u16) {
            assert_eq!(weft_sdk::serve::request(shop, request).status(), status);
        }
        check(Request::get("/"), 200);
        check(Request::get("/orders"), 404);
        check(Request::post("/orders").with_text("tea"), 400);
        check(Request::post("/orders").with_text(r#"{"item": "tea", "amount": 0}"#), 400);
        // A whole order goes on to the topic, which a local test does not have.
        check(Request::post("/orders").with_text(r#"{"item": "tea", "amount": 12}"#), 500);
    }
}
