//! Packs what was ordered and sends it when there is an invoice. Two triggers, a path each.

use serde::Deserialize;
use weft_sdk::{Delivery, Error, Event};

#[derive(Deserialize)]
struct Order {
    item: String,
}

#[derive(Deserialize)]
struct Invoice {
    order: String,
}

fn ship(event: Event, delivery: &Delivery) -> Result<(), Error> {
    match delivery.path() {
        "/orders" => {
            let order: Order = event.json()?;
            weft_sdk::log!("packed {} for order {}", order.item, event.id());
        }
        "/invoices" => {
            let invoice: Invoice = event.json()?;
            weft_sdk::log!("sent the parcel of order {}", invoice.order);
        }
        other => return Err(Error::reject(format!("shipping has no path {other}; correct the trigger's `path`"))),
    }
    Ok(())
}

weft_sdk::events!(ship);

#[cfg(test)]
mod tests {
    use weft_sdk::{Request, serve};

    use super::*;

    #[test]
    fn the_path_says_what_to_do() {
        fn check(path: &str, data: &str, status: u16) {
            let event = format!(r#"{{"specversion":"1.0","id":"7","source":"/","type":"t","data":{data}}}"#);
            let request = Request::post(path).with_header("content-type", "application/cloudevents+json");
            assert_eq!(serve::event(ship, request.with_body(event)).status(), status, "{path} {data}");
        }
        check("/orders", r#"{"item": "tea", "amount": 12}"#, 204);
        check("/invoices", r#"{"order": "7"}"#, 204);
        check("/invoices", r#"{"item": "tea"}"#, 422);
        check("/", "{}", 422);
    }
}
