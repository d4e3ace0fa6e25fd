//! What each trigger of a topic would do with an event, by what it asks of policy.

use serde_json::{Value, json};

use super::*;

fn policy(name: &str, spec: &str) -> String {
    format!("---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

/// The trigger's answers to its three questions, and what it would do.
fn answers(explained: &Value) -> [Value; 4] {
    let subscription = &explained["event"]["subscriptions"][0];
    let code = |question: &str| subscription[question]["code"].clone();
    [code("consume"), code("egress"), code("deliver"), subscription["next"].clone()]
}

#[tokio::test]
async fn a_delivery_outside_asks_three_questions() {
    let deny = |verbs: &str, from: &str| {
        let targets = "targets: [ { topic: orders }, { trigger: out } ]";
        let from = format!("from: [ {{ source: {{ {from} }} }} ]");
        policy(
            "no",
            &format!(
                "action: DENY, {targets}, rules: [ {{ {from}, to: [ {{ operation: {{ verbs: [ {verbs} ] }} }} ] }} ]"
            ),
        )
    };
    let trigger_itself = "principals: [ \"spiffe://weft.local/ns/default/trigger/out\" ]";
    let publisher = format!("principals: [ \"{SHOP}\" ]");
    let origin = format!("origins: [ \"{SHOP}\" ]");
    let (ok, no) = ("OK", "AUTHZ_DENY_RULE");
    for (rule, expect) in [
        (String::new(), [ok, ok, ok, "deliver"]),
        (deny("consume", trigger_itself), [no, ok, ok, "deny"]),
        (deny("egress", trigger_itself), [ok, no, ok, "deny"]),
        (deny("deliver", &publisher), [ok, ok, no, "deny"]),
        // The trigger reads and leaves as itself, for whoever began the chain; the publisher delivers.
        (deny("consume, egress", &publisher), [ok, ok, ok, "deliver"]),
        (deny("deliver", trigger_itself), [ok, ok, ok, "deliver"]),
        (deny("consume, egress, deliver", &origin), [no, no, no, "deny"]),
    ] {
        let scene = Scene::new(&(topic("orders") + &trigger("out", "orders") + &rule)).await;
        assert_eq!(answers(&scene.event("order.created", SHOP)), expect.map(|word| json!(word)), "{rule}");
    }
}

/// Of a token a delivery knows what its topic keeps, and so does whoever asks what would become of an event.
#[tokio::test]
async fn a_rehearsed_delivery_knows_the_claims_that_its_topic_keeps() {
    let issuer = "---\napiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: { name: corp }\nspec: { issuer: \
                  \"https://id.corp.example\", audiences: [ weft ], jwksUri: \"https://id.corp.example/jwks\" }\n";
    let clerks = policy(
        "clerks",
        "targets: [ { trigger: out } ], rules: [ { to: [ { operation: { verbs: [ deliver ] } } ], \
         when: [ { key: \"request.auth.claims[role]\", values: [ clerk ] } ] } ]",
    );
    for (keep, expect) in [("[ role ]", "OK"), ("[ name ]", "AUTHZ_NO_ALLOW"), ("[]", "AUTHZ_NO_ALLOW")] {
        let orders = format!("{}spec: {{ keepClaims: {keep} }}\n", topic("orders"));
        let scene = Scene::new(&(orders + &trigger("out", "orders") + &clerks + issuer)).await;
        let namespace = "default".parse().expect("a name");
        let ann = whom(&["jwt:https://id.corp.example/ann"], json!({ "role": "clerk" }));
        let ann = ann.caller(&scene.plane.mesh.snapshot(), Some(&namespace)).expect("a caller");
        let event = Event::builder().id("1").source("/shop").ty("order.created").build().expect("an event");
        let explained = json!(scene.explainer.event(&"default/orders".parse().expect("a name"), &event, ann));
        assert_eq!(answers(&explained)[2], expect, "{keep}");
    }
}
