//! A function at zero and one that runs are called by the same caller under the same policy: the decision is the same but
//! for the instance, and the function that comes from zero knows who called.

use serde_json::Value;
use weft_tests::access::Line;
use weft_tests::events::{STRUCTURED, event};
use weft_tests::serve::DOMAIN;
use weft_tests::{Ask, Served, Site, Workload, eventually, manifest};

/// Members of an explanation that are of one call and not of its kind: its id, when it was, where it would run.
const OF_ONE_CALL: [&str; 3] = ["decision", "call", "instance"];

/// Two functions that stay once they run, one that is soon at zero again, and who may reach them.
fn manifests() -> String {
    let clerk = "rules: [ { from: [ { source: { principals: [ '*/sa/clerk' ] } } ], \
                 to: [ { operation: { verbs: [ request, publish, deliver ] } } ] } ]";
    manifest::function("echo", "echo", "")
        + &manifest::function("ear", "echo", "")
        + &manifest::function("brief", "echo", "scale: { idle: 200ms }")
        + &manifest::topic("orders", "")
        + &manifest::trigger("ear-orders", "orders", "function: ear")
        + &manifest::policy("clerks", clerk)
        + &manifest::policy("audit", "action: AUDIT, rules: [ {} ]")
}

struct Shop {
    node: Served,
    clerk: Workload,
    thief: Workload,
    // Its folder must outlive the node.
    _site: Site,
}

impl Shop {
    async fn open() -> Self {
        let site = Site::new().await;
        let who = |name: &str| site.mint(&format!("spiffe://weft.local/ns/shop/sa/{name}"));
        let (clerk, thief) = (who("clerk"), who("thief"));
        site.guest("echo");
        let node = site.start_with_access_log().await;
        node.apply(&manifests()).await;
        Self { node, clerk, thief, _site: site }
    }

    async fn count(&self, function: &str, what: &str) -> u64 {
        let function = self.node.json(&format!("/api/v1/resources/function/default/{function}")).await;
        function["status"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {function}"))
    }

    /// The explanation of a past decision, without what is of one call.
    async fn explained(&self, decision: &str) -> Value {
        without(self.node.json(&format!("/api/v1/explain/decisions/{decision}")).await)
    }

    /// What becomes of a request, from the client's side: status, whom the function saw, and the explanation.
    async fn request(&self, who: &Workload, function: &str) -> (u16, Value, Value) {
        let answer = who.ask(self.node.mtls, &format!("{function}.{DOMAIN}"), Ask::get("/")).await;
        let seen = if answer.status == 200 { answer.json()["principal"].clone() } else { Value::Null };
        (answer.status, seen, self.explained(answer.decision().expect("a decision")).await)
    }

    /// What becomes of an event that is delivered.
    async fn deliver(&self, event_id: &str) -> Value {
        let ask = Ask::post("/default/orders").header("content-type", STRUCTURED).json(&event(event_id, "order"));
        let before = self.deliveries().len();
        let answer = self.clerk.ask(self.node.mtls, &format!("topics.{DOMAIN}"), ask).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let lines = eventually("the delivery", async || Some(self.deliveries()).filter(|all| all.len() > before)).await;
        self.explained(lines[before].get("decision").expect("a decision")).await
    }

    fn deliveries(&self) -> Vec<Line> {
        self.node.access().into_iter().filter(|line| line.get("verb") == Some("deliver")).collect()
    }

    /// A dry run of the clerk's request; gives the action of the instance beside it.
    async fn rehearse(&self) -> (Value, Value) {
        let url = format!("https://echo.{DOMAIN}/");
        let words = ["explain", "request", &url, "--as", &self.clerk.id, "-o", "json"];
        let explained = self.node.weft(&words).await.ok().json();
        (explained["instance"]["action"].clone(), without(explained))
    }
}

fn without(mut explained: Value) -> Value {
    let members = explained.as_object_mut().expect("an explanation");
    for name in OF_ONE_CALL {
        members.remove(name);
    }
    members["snapshot"].as_object_mut().expect("a snapshot").remove("age_ms");
    explained
}

#[tokio::test]
async fn cold_and_warm_are_one_decision_but_for_the_instance() {
    let shop = Shop::open().await;
    let refused_cold = shop.request(&shop.thief, "echo").await;
    let (action, foreseen_cold) = shop.rehearse().await;
    assert_eq!((action, shop.count("echo", "coldStarts").await), ("start".into(), 0), "neither starts anything");

    let (cold, warm) = (shop.request(&shop.clerk, "echo").await, shop.request(&shop.clerk, "echo").await);
    assert_eq!(shop.count("echo", "coldStarts").await, 1, "the first call came from zero, the second did not");
    assert_eq!((cold.0, &cold.1), (200, &shop.clerk.id.clone().into()), "who called is known to what was at zero");
    assert_eq!(cold.2["policy"]["deciding"], "policy default/clerks rule 0", "{}", cold.2);
    assert_eq!(cold, warm);

    let refused_warm = shop.request(&shop.thief, "echo").await;
    assert_eq!((refused_cold.0, &refused_cold), (403, &refused_warm));
    let (action, foreseen_warm) = shop.rehearse().await;
    assert_eq!((action, foreseen_cold), ("reuse".into(), foreseen_warm));
    shop.node.stop().await;
}

#[tokio::test]
async fn an_event_that_starts_its_function_is_judged_like_the_next() {
    let shop = Shop::open().await;
    let (cold, warm) = (shop.deliver("1").await, shop.deliver("2").await);
    assert_eq!(shop.count("ear", "coldStarts").await, 1);
    assert_eq!(
        (&cold["identity"]["peer"], &cold["verdict"]),
        (&shop.clerk.id.clone().into(), &"allow".into()),
        "{cold}"
    );
    assert_eq!(cold, warm);
    shop.node.stop().await;
}

#[tokio::test]
async fn a_function_that_was_at_zero_again_knows_its_caller() {
    let shop = Shop::open().await;
    let first = shop.request(&shop.clerk, "brief").await;
    eventually("zero", async || (shop.count("brief", "instances").await == 0).then_some(())).await;
    let again = shop.request(&shop.clerk, "brief").await;
    assert_eq!(shop.count("brief", "coldStarts").await, 2);
    assert_eq!((again.0, &again.1), (200, &shop.clerk.id.clone().into()));
    assert_eq!(first, again);
    shop.node.stop().await;
}
