//! `weft describe`: one resource in full, in sections a person can read from top to bottom.
//!
//! Settings are the effective ones: what the manifest leaves out is filled in by the same reader that the node uses,
//! so that nobody has to know the defaults.

use std::process::ExitCode;

use serde_json::Value;
use weft_functions::manifest::{Kind, SourceFile, parse};

use super::resource::{count, events_kept, show, text};
use super::terminal::harmless;
use super::{Global, get, table, terminal};

/// `weft describe KIND NAME`
#[derive(Debug, clap::Args)]
pub(super) struct DescribeArgs {
    /// function, topic, trigger, policy, namespace or issuer
    #[arg(value_parser = get::kind)]
    kind: Kind,
    /// The resource's name, or NAMESPACE/NAME
    name: String,
}

/// A titled list of names and values; one without rows is not shown.
struct Section {
    title: &'static str,
    rows: Vec<(String, String)>,
}

pub(super) async fn run(args: &DescribeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let resource = global.client()?.resource(args.kind, &global.named(args.kind, &args.name)?).await?;
    if global.json() {
        terminal::say_json(&resource)?;
    } else {
        terminal::say(&described(args.kind, &resource))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(kind: Kind, resource: &Value) -> String {
    let spec = effective_spec(resource);
    let mut sections = match kind {
        Kind::Function => function(resource, &spec),
        Kind::Topic => topic(resource, &spec),
        Kind::Trigger => trigger(resource, &spec),
        Kind::Policy => policy(resource, &spec),
        Kind::Namespace => namespace(resource, &spec),
        Kind::Issuer => issuer(resource, &spec),
    };
    sections.retain(|section| !section.rows.is_empty());
    let name = text(resource, "/metadata/name").unwrap_or_default();
    let namespace = text(resource, "/metadata/namespace").unwrap_or_default();
    let title = harmless(&format!("{kind} {namespace}/{name}"));
    let shown: Vec<_> = sections.iter().map(Section::render).collect();
    format!("{title}\n{}", shown.join("\n\n"))
}

/// The spec with every default filled in; as written if this version cannot read it.
fn effective_spec(resource: &Value) -> Value {
    let mut document = resource.clone();
    if let Value::Object(fields) = &mut document {
        fields.remove("status");
    }
    let read = parse(&[SourceFile::new("<node>", document.to_string())]).ok();
    let filled = read.and_then(|resources| resources.first().map(weft_functions::manifest::Resource::to_json));
    let mut filled = filled.unwrap_or(document);
    filled.get_mut("spec").map(Value::take).unwrap_or_default()
}

fn function(resource: &Value, spec: &Value) -> Vec<Section> {
    let status = [
        ("url", "/status/url"),
        ("revision", "/status/revision"),
        ("ready", "/status/ready"),
        ("module", "/spec/module"),
        ("digest", "/status/digest"),
    ];
    let counters = [
        ("instances", "/status/instances"),
        ("loaded", "/status/loaded"),
        ("queued", "/status/queued"),
        ("calls", "/status/calls"),
        ("cold starts", "/status/coldStarts"),
        ("traps", "/status/traps"),
    ];
    vec![
        Section::new("", picked(resource, &status)).and(owner(resource)),
        Section::new("Limits", all_of(spec, "limits")),
        Section::new("Scale", all_of(spec, "scale")),
        Section::new("Environment", all_of(spec, "env")),
        Section::new("Allowed hosts", picked(spec, &[("hosts", "/allowHosts")])),
        Section::new("Now", picked(resource, &counters)),
        Section::new("Last scale changes", scale_changes(resource)),
    ]
}

fn topic(resource: &Value, spec: &Value) -> Vec<Section> {
    let mut kept = Vec::new();
    kept.extend(events_kept(resource).map(|events| ("events".to_owned(), events.to_string())));
    kept.extend(count(resource, "/status/bytes").map(|bytes| ("size".to_owned(), table::bytes(bytes))));
    let counters = [
        ("segments", "/status/segments"),
        ("first sequence", "/status/first"),
        ("next sequence", "/status/next"),
        ("deduplicated", "/status/deduplicated"),
        ("damaged", "/status/damaged"),
        ("refuses events", "/status/refuses"),
    ];
    let durability = match text(spec, "/durability").as_deref() {
        Some("relaxed") => "relaxed: an accepted event may be lost with the node".to_owned(),
        Some("strict") => "strict: an accepted event is on disk".to_owned(),
        _ => text(resource, "/status/durability").unwrap_or_default(),
    };
    vec![
        Section::new("", picked(resource, &[("url", "/status/url"), ("triggers", "/status/triggers")]))
            .and(vec![("durability".to_owned(), durability)])
            .and(picked(spec, &[("dedupe", "/dedupe"), ("keep claims", "/keepClaims")]))
            .and(owner(resource)),
        Section::new("Retention", all_of(spec, "retention")),
        Section::new("Now", kept).and(picked(resource, &counters)),
    ]
}

fn trigger(resource: &Value, spec: &Value) -> Vec<Section> {
    let head = [("topic", "/status/topic"), ("target", "/status/target")];
    let settings = [("path", "/path"), ("from", "/from"), ("reply topic", "/reply/topic")];
    // The order of a delivery's life: all but the first add up to it.
    let counters = ["accepted", "delivered", "filtered", "denied", "expired", "dead", "cancelled", "pending"];
    let counted = |name: &&str| Some(((*name).to_owned(), text(resource, &format!("/status/{name}"))?));
    vec![
        Section::new("", picked(resource, &head)).and(picked(spec, &settings)).and(owner(resource)),
        Section::new("Filters (all must pass)", numbered(spec, "filters")),
        Section::new("Delivery", all_of(spec, "delivery")),
        Section::new("Events", counters.iter().filter_map(counted).collect()),
        Section::new("Paused", picked(resource, &paused(resource))),
    ]
}

/// What there is to say of a circuit that is not closed.
fn paused(resource: &Value) -> Vec<(&'static str, &'static str)> {
    match text(resource, "/status/circuit/state").as_deref() {
        None | Some("closed") => Vec::new(),
        _ => vec![
            ("because the target is", "/status/circuit/cause"),
            ("circuit", "/status/circuit/state"),
            ("seconds until it is tried", "/status/circuit/seconds"),
        ],
    }
}

fn policy(resource: &Value, spec: &Value) -> Vec<Section> {
    let targets = text(spec, "/targets").unwrap_or_else(|| "everything in the namespace".to_owned());
    vec![
        Section::new("", picked(spec, &[("action", "/action")]))
            .and(vec![("targets".to_owned(), targets)])
            .and(owner(resource)),
        Section::new("Rules (one must match)", numbered(spec, "rules")),
    ]
}

fn namespace(resource: &Value, spec: &Value) -> Vec<Section> {
    let default = text(spec, "/default").unwrap_or_else(|| "what the node says".to_owned());
    let sources = text(spec, "/sourcePrefixes").unwrap_or_else(|| "any".to_owned());
    let used = [("functions", "/status/functions"), ("instances", "/status/instances")];
    vec![
        Section::new("", vec![("default".to_owned(), default), ("sources".to_owned(), sources)]).and(owner(resource)),
        Section::new("Quotas", all_of(spec, "quotas")),
        Section::new("Now", picked(resource, &used)),
    ]
}

fn issuer(resource: &Value, spec: &Value) -> Vec<Section> {
    let head = [
        ("issuer", "/issuer"),
        ("audiences", "/audiences"),
        ("keys", "/jwksUri"),
        ("allow private", "/allowPrivate"),
        ("algorithms", "/algorithms"),
        ("pass claims", "/passClaims"),
    ];
    vec![
        Section::new("", picked(spec, &head)).and(owner(resource)),
        Section::new("Tokens are in", numbered(spec, "fromHeaders")),
        Section::new("Keys", numbered(spec.get("jwks").unwrap_or(&Value::Null), "keys")),
    ]
}

/// Who may change it (a watched file, or anyone through the API), since when it is as it is, and why it is not in force if
/// it is not.
fn owner(resource: &Value) -> Vec<(String, String)> {
    let source = match (text(resource, "/status/owner").as_deref(), text(resource, "/status/source")) {
        (Some("api"), _) => Some("the API (deploy, apply)".to_owned()),
        (_, source) => source,
    };
    let snapshot = text(resource, "/status/snapshot").map(|snapshot| ("since snapshot".to_owned(), snapshot));
    let lacking = text(resource, "/status/lacking").map(|why| ("not in force".to_owned(), why));
    source.map(|source| ("owned by".to_owned(), source)).into_iter().chain(snapshot).chain(lacking).collect()
}

/// `0 -> 1   first request`, newest as the node orders them.
fn scale_changes(resource: &Value) -> Vec<(String, String)> {
    let changes =
        resource.pointer("/status/lastScale").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = |change: &Value| {
        let step = format!("{} -> {}", text(change, "/from")?, text(change, "/to")?);
        Some((text(change, "/at")?, format!("{step}   {}", text(change, "/why").unwrap_or_default())))
    };
    changes.iter().filter_map(told).collect()
}

/// The named fields that have something to show.
fn picked(value: &Value, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().filter_map(|(name, pointer)| Some(((*name).to_owned(), text(value, pointer)?))).collect()
}

/// Every field of an object, under its own name.
fn all_of(spec: &Value, key: &str) -> Vec<(String, String)> {
    let fields = spec.get(key).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), show(value)?))).collect()
}

/// Every item of a list, as JSON, because its structure is what matters.
fn numbered(spec: &Value, key: &str) -> Vec<(String, String)> {
    let items = spec.get(key).and_then(Value::as_array).into_iter().flatten();
    items.enumerate().map(|(index, item)| ((index + 1).to_string(), item.to_string())).collect()
}

impl Section {
    fn new(title: &'static str, rows: Vec<(String, String)>) -> Self {
        Self { title, rows }
    }

    fn and(mut self, rows: Vec<(String, String)>) -> Self {
        self.rows.extend(rows.into_iter().filter(|(_, value)| !value.is_empty()));
        self
    }

    fn render(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let row = |(name, value): &(String, String)| format!("  {:<width$}   {}", harmless(name), harmless(value));
        let rows = self.rows.iter().map(row).collect::<Vec<_>>().join("\n");
        if self.title.is_empty() { rows } else { format!("{}\n{rows}", self.title) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_function_is_described_with_its_effective_limits_and_last_changes() {
        let resource = json!({
            "apiVersion": "weft.dev/v1alpha1", "kind": "Function",
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {"module": "./hello.wasm", "limits": {"memory": "32Mi"}, "env": {"GREETING": "hi\u{1b}[2J"}},
            "status": {"owner": "file", "source": "app.yaml:3", "snapshot": 12, "revision": "hello-00002", "ready": true,
                "url": "http://hello.localhost:8080/", "instances": 1, "calls": 4, "coldStarts": 1, "traps": 0,
                "lastScale": [{"at": "2026-01-02T03:04:05Z", "from": 0, "to": 1, "why": "first request"}]},
        });
        let text = described(Kind::Function, &resource);
        for expect in [
            "Function default/hello\n",
            "  url              http://hello.localhost:8080/",
            "  owned by         app.yaml:3",
            "Limits\n",
            "  memory    32Mi",
            "  timeout   30s",
            "  GREETING   hi\\u{1b}[2J",
            "  cold starts   1",
            "  2026-01-02T03:04:05Z   0 -> 1   first request",
        ] {
            assert!(text.contains(expect), "{expect:?} is not in\n{text}");
        }
        assert!(!text.contains("Allowed hosts"), "{text}");
    }

    #[test]
    fn a_trigger_is_described_with_its_delivery_and_every_counter() {
        let resource = json!({
            "apiVersion": "weft.dev/v1alpha1", "kind": "Trigger",
            "metadata": {"name": "bill", "namespace": "default"},
            "spec": {"topic": "orders", "function": "billing", "filters": [{"exact": {"type": "order.created"}}]},
            "status": {"owner": "api", "lacking": "the disk is full", "topic": "default/orders", "target": "function default/billing", "accepted": 5,
                "delivered": 1, "filtered": 1, "denied": 0, "expired": 0, "dead": 1, "cancelled": 0, "pending": 2,
                "circuit": {"state": "open", "cause": "unavailable", "seconds": 1.5}},
        });
        let text = described(Kind::Trigger, &resource);
        for expect in [
            "  target         function default/billing",
            "  owned by       the API (deploy, apply)",
            "  not in force   the disk is full",
            "  1   {\"exact\":{\"type\":\"order.created\"}}",
            "  retry",
            "  accepted    5",
            "  pending     2",
            "  because the target is       unavailable",
        ] {
            assert!(text.contains(expect), "{expect:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_spec_of_a_later_version_is_described_as_written() {
        let resource = json!({"kind": "Topic", "metadata": {"name": "t", "namespace": "n"},
            "spec": {"retention": {"age": "7d", "colour": "blue"}}, "status": {"bytes": 0, "first": "1", "next": "3"}});
        let text = described(Kind::Topic, &resource);
        assert!(text.contains("  colour   blue") && text.contains("  events"), "{text}");
    }
}
