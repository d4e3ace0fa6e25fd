//! Writes an invoice for each order: an event in, another event out.

use serde::{Deserialize, Serialize};
use weft_sdk::{Delivery, Error, Event};

/// Above this nobody at billing may sign, so that there is an order that fails whenever one is wanted.
const LIMIT: u32 = 10_000;

#[derive(Deserialize)]
struct Order {
    item: String,
    amount: u32,
}

#[derive(Serialize)]
struct Invoice<'a> {
    order: &'a str,
    amount: u32,
    currency: String,
    /// The mesh proved who ordered; a field of the order could say anything.
    customer: &'a str,
}

fn bill(event: Event, delivery: &Delivery) -> Result<Event, Error> {
    let order: Order = event.json()?;
    if order.amount > LIMIT {
        return Err(Error::new(format!("order {} of {} is above the limit of {LIMIT}", event.id(), order.amount)));
    }
    let currency = weft_sdk::env("CURRENCY").unwrap_or_else(|| "EUR".to_owned());
    weft_sdk::log!("invoice for order {}: {} {currency} for {}", event.id(), order.amount, order.item);
    let customer = delivery.origin().or(delivery.principal()).unwrap_or("somebody");
    let invoice = Invoice { order: event.id(), amount: order.amount, currency, customer };
    // An order may be delivered again; its invoice is the same one then.
    let id = format!("invoice-{}", event.id());
    Event::new("invoice.created").with_id(id).with_subject(order.item).with_json(&invoice)
}

weft_sdk::events!(bill);

#[cfg(test)]
mod tests {
    use weft_sdk::{Request, serve};

    use super::*;

    #[test]
    fn an_order_is_billed_once_and_never_above_the_limit() {
        fn check(data: &str, status: u16, invoice: Option<&str>) {
            let order = ["specversion: 1.0", "id: 7", "source: /shop", "type: order.created"]
                .iter()
                .filter_map(|line| line.split_once(": "))
                .fold(Request::post("/"), |order, (name, value)| order.with_header(format!("ce-{name}"), value));
            let response = serve::event(bill, order.with_body(data));
            assert_eq!((response.status(), response.header("ce-id")), (status, invoice), "{data}");
        }
        check(r#"{"item": "tea", "amount": 12}"#, 200, Some("invoice-7"));
        check(r#"{"item": "yacht", "amount": 10001}"#, 500, None);
        check("tea", 422, None);
    }
}
