//! What became of an event as text: its place, each trigger with its attempts, and the tree of events around it.

use serde_json::Value;

use super::page::{Page, list};
use super::verdict::QUESTIONS;
use crate::cli::resource::text as of;
use crate::cli::terminal::harmless;

/// The whole page.
pub(super) fn text(explained: &Value, width: usize, colour: bool) -> String {
    let mut page = Page::new(width, colour);
    let field = |pointer: &str| of(explained, pointer).unwrap_or_default();
    page.line(&harmless(&format!(
        "event {} of {}: {} #{}",
        field("/event/id"),
        field("/event/source"),
        field("/event/topic"),
        field("/event/sequence")
    )));
    page.line("");
    page.row("type", &field("/event/type"));
    page.row("accepted", &field("/event/accepted"));
    page.row("publisher", &field("/event/principal"));
    page.row(
        "origin",
        &of(explained, "/event/origin").filter(|it| *it != field("/event/principal")).unwrap_or_default(),
    );
    page.row("via", &field("/event/via"));
    page.row("unreadable", &field("/event/unreadable"));
    let deliveries = list(explained, "/deliveries");
    page.title(if deliveries.is_empty() { "No trigger reads this topic" } else { "Triggers" });
    for delivery in deliveries {
        one(&mut page, delivery);
    }
    if let Some(tree) = explained.get("tree") {
        page.title("Tree");
        branch(&mut page, tree, 2);
    }
    page.finish()
}

fn one(page: &mut Page, delivery: &Value) {
    let field = |pointer: &str| of(delivery, pointer).unwrap_or_default();
    let state = page.verdict(&field("/state"));
    let again = [("redriven", "/redrive"), ("replayed", "/replay")];
    let again = again.into_iter().find_map(|(word, job)| Some(format!(", {word} by {}", of(delivery, job)?)));
    let way = format!("{} to {}{}", field("/trigger"), field("/target"), again.unwrap_or_default());
    page.line(&format!("  {state}  {}", harmless(&way)));
    if let Some(term) = of(delivery, "/filter/first_failing") {
        page.paragraph(6, &format!("the filter fails at: {term}"));
    }
    for (question, may) in QUESTIONS {
        let at = |name: &str| of(delivery, &format!("/policy/{question}/{name}"));
        let Some(verdict) = at("verdict") else { continue };
        let deciding = at("policy/deciding").map(|deciding| format!(", by {deciding}")).unwrap_or_default();
        page.paragraph(6, &format!("{may}? {verdict}{deciding}"));
    }
    for attempt in list(delivery, "/attempts") {
        let field = |pointer: &str| of(attempt, pointer);
        let parts = [
            Some(field("/at").unwrap_or_else(|| "before".to_owned())),
            field("/status"),
            field("/code").filter(|code| code != "OK"),
            field("/decision"),
        ];
        page.paragraph(6, &format!("attempt: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(" ")));
    }
    if let Some(number) = of(delivery, "/next/attempt") {
        let at = of(delivery, "/next/at").unwrap_or_else(|| "as soon as there is room".to_owned());
        page.paragraph(6, &format!("next: attempt {number}, {at}"));
    }
}

fn branch(page: &mut Page, tree: &Value, indent: usize) {
    let field = |pointer: &str| of(tree, pointer).unwrap_or_default();
    let by = of(tree, "/by").map(|by| format!(", {} of {by}", field("/role"))).unwrap_or_default();
    let asked = if tree.get("asked").and_then(Value::as_bool) == Some(true) { "  <- this one" } else { "" };
    page.paragraph(
        indent,
        &format!(
            "{} #{} {} (id {}){by}{asked}",
            field("/event/topic"),
            field("/event/sequence"),
            field("/event/type"),
            field("/event/id")
        ),
    );
    for child in list(tree, "/led_to") {
        // A chain has at most 16 links, so this ends and fits.
        branch(page, child, indent + 2);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_followed_to_each_trigger_and_through_its_tree() {
        let event = |id: &str, topic: &str| {
            json!({ "topic": topic, "sequence": "7", "id": id, "source": "/shop", "type": "t",
            "accepted": "2026-01-02T03:04:05Z", "principal": "spiffe://a/b", "origin": "spiffe://a/b" })
        };
        let allow = json!({ "verdict": "allow", "code": "OK", "policy": { "deciding": "default" } });
        let explained = json!({
            "event": event("1", "default/orders"),
            "deliveries": [
                { "trigger": "default/bill", "target": "function default/billing", "state": "retrying",
                  "policy": { "consume": allow, "deliver": allow }, "filter": { "result": "pass" },
                  "attempts": [{ "at": null, "status": 502, "code": "FN_TRAP", "decision": "d-1" }],
                  "next": { "attempt": 2, "at": "2026-01-02T03:04:06Z" } },
                { "trigger": "default/ship", "target": "http://x/", "state": "filtered",
                  "filter": { "result": "fail", "first_failing": "exact type=x" }, "attempts": [] },
                { "trigger": "default/bill", "target": "function default/billing", "state": "delivered", "redrive": "j-1",
                  "attempts": [] },
            ],
            "tree": { "event": event("1", "default/orders"), "asked": true, "led_to": [
                { "event": event("2", "default/invoices"), "by": "default/bill", "role": "reply", "led_to": [] }] },
        });
        let expect = "\
event 1 of /shop: default/orders #7

  type       t
  accepted   2026-01-02T03:04:05Z
  publisher  spiffe://a/b

Triggers
  retrying  default/bill to function default/billing
      may read the topic? allow, by default
      may reach the target? allow, by default
      attempt: before 502 FN_TRAP d-1
      next: attempt 2, 2026-01-02T03:04:06Z
  filtered  default/ship to http://x/
      the filter fails at: exact type=x
  delivered  default/bill to function default/billing, redriven by j-1

Tree
  default/orders #7 t (id 1)  <- this one
    default/invoices #7 t (id 2), reply of default/bill";
        assert_eq!(text(&explained, 80, false), expect);
    }
}
