//! The examples do what their comments say: the main job of weft, as a newcomer meets it.

use serde_json::json;
use weft_tests::node::Options;
use weft_tests::{Ask, Node, modules};

async fn start(example: &str, data: &tempfile::TempDir) -> Node {
    let folder = modules::root().join("examples").join(example);
    for guest in ["hello", "shop", "billing", "shipping"] {
        modules::guest(guest);
    }
    let started = Node::start(&folder, &data.path().join("data"), Options::default()).await;
    started.unwrap_or_else(|failed| panic!("{failed}"))
}

fn order(body: &str) -> Ask {
    Ask::post("/orders").host("shop.localhost").body(body.to_owned())
}

#[tokio::test]
async fn hello_names_its_caller() {
    let data = tempfile::tempdir().unwrap();
    let node = start("hello", &data).await;
    let answer = node.get("hello", "/").await;
    assert_eq!((answer.status, answer.text().lines().next()), (200, Some("hello from weft")));
}

#[tokio::test]
async fn an_order_becomes_an_invoice_and_a_parcel() {
    let data = tempfile::tempdir().unwrap();
    let node = start("orders", &data).await;
    let taken = node.ask(order(r#"{"item": "tea", "amount": 12}"#)).await;
    assert_eq!((taken.status, &taken.json()["sequence"]), (202, &"1".into()), "{}", taken.text());
    let id = taken.json()["order"].as_str().unwrap().to_owned();
    for trigger in ["bill-orders", "pack-orders", "send-parcels"] {
        assert_eq!(node.settled(trigger, 1).await.in_state("delivered"), 1, "{trigger}");
    }
    let invoice = &node.events("invoices").await[0];
    let expect =
        json!({ "order": id, "amount": 12, "currency": "EUR", "customer": "spiffe://weft.local/ns/default/sa/dev" });
    assert_eq!(invoice["event"]["data"], expect, "{invoice}");
    assert_eq!(invoice["event"]["id"], format!("invoice-{id}"));
    assert_eq!(invoice["principal"], "spiffe://weft.local/ns/default/fn/billing");
    node.logged(&["weft::guest", "default/shipping", &format!("packed tea for order {id}")]).await;
    node.logged(&["weft::guest", "default/shipping", &format!("sent the parcel of order {id}")]).await;
    node.stop().await;
}

#[tokio::test]
async fn an_order_above_the_limit_dies_and_a_gift_card_is_not_packed() {
    let data = tempfile::tempdir().unwrap();
    let node = start("orders", &data).await;
    assert_eq!(node.ask(order(r#"{"item": "yacht", "amount": 10001}"#)).await.status, 202);
    assert_eq!(node.settled("bill-orders", 1).await.in_state("dead"), 1);
    let letter = &node.events("orders-dead").await[0]["event"];
    assert_eq!((&letter["knativeerrorcode"], &letter["data"]["item"]), (&"500".into(), &"yacht".into()), "{letter}");
    assert!(node.events("invoices").await.is_empty());

    assert_eq!(node.ask(order(r#"{"item": "gift-card", "amount": 5}"#)).await.status, 202);
    let packed = node.settled("pack-orders", 2).await;
    assert_eq!((packed.in_state("delivered"), packed.in_state("filtered")), (1, 1));
    assert_eq!(node.settled("send-parcels", 1).await.in_state("filtered"), 1);
    for bad in ["tea", r#"{"item": "", "amount": 1}"#, r#"{"item": "tea", "amount": 0}"#] {
        assert_eq!(node.ask(order(bad)).await.status, 400, "{bad}");
    }
    assert_eq!(node.events("orders").await.len(), 2);
}
