//! `weft get`: resources as a table, with the columns a person looks for first.
//!
//! A column is a header and where its value stands in the resource; adding one is adding a line.

use std::process::ExitCode;

use serde_json::{Value, json};
use weft_functions::manifest::Kind;

use super::client::Admin;
use super::resource::{cell, count, events_kept};
use super::{DEFAULT_NAMESPACE, Global, table, terminal};

/// `weft get KIND [NAME]`
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// function, topic, trigger, policy, namespace, issuer or all
    #[arg(value_parser = kinds)]
    kind: Kinds,
    /// The resource's name, or NAMESPACE/NAME; without it all are listed, of every namespace unless -n is given
    name: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    One(Kind),
    All,
}

/// A column: its header and how its cell is found.
type Column = (&'static str, fn(&Value) -> String);

const NAME: Column = ("NAME", |item| cell(item, "/metadata/name"));
const NAMESPACE: Column = ("NAMESPACE", |item| cell(item, "/metadata/namespace"));

const FUNCTION: [Column; 7] = [
    NAME,
    NAMESPACE,
    ("REVISION", |item| cell(item, "/status/revision")),
    ("READY", |item| cell(item, "/status/ready")),
    ("INSTANCES", |item| cell(item, "/status/instances")),
    ("CALLS", |item| cell(item, "/status/calls")),
    ("URL", |item| cell(item, "/status/url")),
];

const TOPIC: [Column; 7] = [
    NAME,
    NAMESPACE,
    ("EVENTS", |item| or_nothing(events_kept(item))),
    ("SIZE", |item| count(item, "/status/bytes").map_or_else(|| table::NOTHING.to_owned(), table::bytes)),
    ("DURABILITY", |item| cell(item, "/status/durability")),
    ("TRIGGERS", |item| cell(item, "/status/triggers")),
    ("URL", |item| cell(item, "/status/url")),
];

const TRIGGER: [Column; 9] = [
    NAME,
    NAMESPACE,
    ("TOPIC", |item| short(&cell(item, "/status/topic"))),
    ("TARGET", |item| short(&cell(item, "/status/target"))),
    ("ACCEPTED", |item| cell(item, "/status/accepted")),
    ("DELIVERED", |item| cell(item, "/status/delivered")),
    ("FILTERED", |item| cell(item, "/status/filtered")),
    ("PENDING", |item| cell(item, "/status/pending")),
    ("DEAD", |item| cell(item, "/status/dead")),
];

const POLICY: [Column; 5] = [
    NAME,
    NAMESPACE,
    ("ACTION", |item| cell(item, "/status/action")),
    ("TARGETS", |item| targets(item)),
    ("SOURCE", |item| cell(item, "/status/source")),
];

/// A namespace lives in itself, so the column `NAMESPACE` would say nothing.
const NAMESPACES: [Column; 7] = [
    NAME,
    ("DEFAULT", |item| cell(item, "/spec/default")),
    ("FUNCTIONS", |item| used(item, "/status/functions", "/spec/quotas/functions")),
    ("INSTANCES", |item| used(item, "/status/instances", "/spec/quotas/instances")),
    ("PUBLISH/S", |item| cell(item, "/spec/quotas/publishBytesPerSecond")),
    ("SOURCES", |item| cell(item, "/spec/sourcePrefixes")),
    ("SOURCE", |item| cell(item, "/status/source")),
];

const ISSUER: [Column; 6] = [
    NAME,
    NAMESPACE,
    ("ISSUER", |item| cell(item, "/spec/issuer")),
    ("AUDIENCES", |item| cell(item, "/spec/audiences")),
    ("KEYS", |item| cell(item, "/status/keys")),
    ("SOURCE", |item| cell(item, "/status/source")),
];

pub(super) async fn run(args: &GetArgs, global: &Global) -> anyhow::Result<ExitCode> {
    match (args.kind, &args.name) {
        (Kinds::One(kind), Some(name)) => one(kind, name, global).await,
        (Kinds::All, Some(_)) => {
            Err(super::failure::wrong("'all' takes no name: say which kind, such as 'weft get function NAME'"))
        }
        (Kinds::One(kind), None) => list(&[kind], global).await,
        (Kinds::All, None) => list(&Kind::ALL, global).await,
    }
}

async fn one(kind: Kind, name: &str, global: &Global) -> anyhow::Result<ExitCode> {
    let item = global.client()?.resource(kind, &global.named(kind, name)?).await?;
    if global.json() {
        terminal::say_json(&item)?;
    } else {
        terminal::say(&rendered(kind, &[item]))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(kinds: &[Kind], global: &Global) -> anyhow::Result<ExitCode> {
    let namespace = global.typed_namespace()?;
    let namespace = namespace.as_ref().map(weft_functions::value::Name::as_str);
    let found = ask(&global.client()?, kinds, namespace).await?;
    if global.json() {
        let items: Vec<_> = found.into_iter().flat_map(|(_, items)| items).collect();
        terminal::say_json(&json!({ "items": items }))?;
    } else {
        let filled = found.iter().filter(|(_, items)| !items.is_empty());
        let tables: Vec<_> = filled.map(|(kind, items)| rendered(*kind, items)).collect();
        if tables.is_empty() {
            terminal::note(&nothing(kinds, namespace));
        } else {
            terminal::say(&tables.join("\n\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(admin: &Admin, kinds: &[Kind], namespace: Option<&str>) -> anyhow::Result<Vec<(Kind, Vec<Value>)>> {
    let mut found = Vec::with_capacity(kinds.len());
    for kind in kinds {
        found.push((*kind, admin.list(*kind, namespace).await?));
    }
    Ok(found)
}

fn rendered(kind: Kind, items: &[Value]) -> String {
    let columns: &[Column] = match kind {
        Kind::Function => &FUNCTION,
        Kind::Topic => &TOPIC,
        Kind::Trigger => &TRIGGER,
        Kind::Policy => &POLICY,
        Kind::Namespace => &NAMESPACES,
        Kind::Issuer => &ISSUER,
    };
    // Most people have one namespace, and a terminal 80 columns.
    let is_default = |item: &Value| cell(item, "/metadata/namespace") == DEFAULT_NAMESPACE;
    let all_default = items.iter().all(is_default);
    let columns = || columns.iter().filter(|(header, _)| !(all_default && *header == NAMESPACE.0));
    let header: Vec<_> = columns().map(|(header, _)| *header).collect();
    let row = |item: &Value| columns().map(|(_, find)| find(item)).collect();
    table::render(&header, &items.iter().map(row).collect::<Vec<_>>())
}

/// A name as one would type it: a target is a function unless it is a URL, and the default namespace goes without saying.
fn short(name: &str) -> String {
    let name = name.strip_prefix("function ").unwrap_or(name);
    name.strip_prefix(DEFAULT_NAMESPACE).and_then(|name| name.strip_prefix('/')).unwrap_or(name).to_owned()
}

/// An empty list is an answer, and says how it would not be empty.
fn nothing(kinds: &[Kind], namespace: Option<&str>) -> String {
    let what = match kinds {
        [kind] => kind.plural(),
        _ => "resources",
    };
    let place = namespace.map(|namespace| format!(" in the namespace {namespace}")).unwrap_or_default();
    format!("no {what}{place}; make some with 'weft apply -f PATH' or 'weft deploy NAME MODULE'")
}

fn or_nothing(count: Option<u64>) -> String {
    count.map_or_else(|| table::NOTHING.to_owned(), |count| count.to_string())
}

/// `2/100`: how much of a quota is used.
fn used(item: &Value, now: &str, quota: &str) -> String {
    format!("{}/{}", cell(item, now), cell(item, quota))
}

/// A policy without targets binds its whole namespace, which is the opposite of nothing.
fn targets(policy: &Value) -> String {
    super::resource::text(policy, "/spec/targets").unwrap_or_else(|| "everything".to_owned())
}

/// Reads a kind, singular or plural, in any case.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    text.parse::<Kind>().map_err(|error| error.to_string())
}

fn kinds(text: &str) -> Result<Kinds, String> {
    if text.eq_ignore_ascii_case("all") { Ok(Kinds::All) } else { kind(text).map(Kinds::One) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(status: &Value) -> Value {
        json!({"metadata": {"name": "n", "namespace": "default"}, "spec": {}, "status": status})
    }

    #[test]
    fn every_kind_has_its_columns() {
        let check = |kind: Kind, item: Value, expect: &str| assert_eq!(rendered(kind, &[item]), expect);
        check(
            Kind::Function,
            item(
                &json!({"revision": "n-00002", "ready": true, "instances": 0, "calls": 12, "url": "http://n.localhost:8080/"}),
            ),
            "NAME   REVISION   READY   INSTANCES   CALLS   URL\n\
             n      n-00002    true            0      12   http://n.localhost:8080/",
        );
        check(
            Kind::Topic,
            item(
                &json!({"first": "1", "next": "42", "bytes": 2048, "durability": "strict", "triggers": ["a", "b"], "url": "http://topics.localhost:8080/default/n"}),
            ),
            "NAME   EVENTS   SIZE      DURABILITY   TRIGGERS   URL\n\
             n          41   2.0 KiB   strict       a,b        http://topics.localhost:8080/default/n",
        );
        check(
            Kind::Trigger,
            item(
                &json!({"topic": "default/orders", "target": "function default/billing", "accepted": 9, "delivered": 7, "filtered": 1, "pending": 1, "dead": 0}),
            ),
            "NAME   TOPIC    TARGET    ACCEPTED   DELIVERED   FILTERED   PENDING   DEAD\n\
             n      orders   billing          9           7          1         1      0",
        );
        check(
            Kind::Policy,
            item(&json!({"action": "ALLOW", "source": "app.yaml:3"})),
            "NAME   ACTION   TARGETS      SOURCE\nn      ALLOW    everything   app.yaml:3",
        );
        let quotas = json!({"functions": 100, "instances": 200, "publishBytesPerSecond": "10Mi"});
        check(
            Kind::Namespace,
            json!({"metadata": {"name": "shop", "namespace": "shop"},
                "spec": {"default": "deny", "sourcePrefixes": ["/shop", "urn:shop"], "quotas": quotas},
                "status": {"functions": 2, "instances": 1, "source": "app.yaml:3"}}),
            "NAME   DEFAULT   FUNCTIONS   INSTANCES   PUBLISH/S   SOURCES          SOURCE\n\
             shop   deny      2/100       1/200       10Mi        /shop,urn:shop   app.yaml:3",
        );
        check(
            Kind::Issuer,
            json!({"metadata": {"name": "n", "namespace": "default"},
                "spec": {"issuer": "https://id.example", "audiences": ["weft"]},
                "status": {"keys": "inline", "source": "api"}}),
            "NAME   ISSUER               AUDIENCES   KEYS     SOURCE\n\
             n      https://id.example   weft        inline   api",
        );
    }

    #[test]
    fn a_field_the_node_left_out_is_a_dash() {
        let row = "NAME   REVISION   READY   INSTANCES   CALLS   URL\nn      -          -       -           -       -";
        assert_eq!(rendered(Kind::Function, &[item(&json!({}))]), row);
    }

    #[test]
    fn the_namespace_is_shown_where_there_is_another_than_the_default_one() {
        let shop = json!({"metadata": {"name": "m", "namespace": "shop"}, "spec": {}, "status": {"action": "DENY", "source": "api"}});
        let default = item(&json!({"action": "ALLOW", "source": "app.yaml:3"}));
        let table = "NAME   NAMESPACE   ACTION   TARGETS      SOURCE\n\
                     n      default     ALLOW    everything   app.yaml:3\n\
                     m      shop        DENY     everything   api";
        assert_eq!(rendered(Kind::Policy, &[default, shop]), table);
    }

    #[test]
    fn names_are_as_short_as_one_would_type_them() {
        let check = |name: &str, expect: &str| assert_eq!(short(name), expect);
        check("default/orders", "orders");
        check("shop/orders", "shop/orders");
        check("function default/billing", "billing");
        check("function shop/billing", "shop/billing");
        check("https://default/x", "https://default/x");
        check("defaults/x", "defaults/x");
    }

    #[test]
    fn a_kind_is_singular_or_plural_in_any_case() {
        let check = |text: &str, expect: Kinds| assert_eq!(kinds(text), Ok(expect));
        check("function", Kinds::One(Kind::Function));
        check("Topics", Kinds::One(Kind::Topic));
        check("TRIGGER", Kinds::One(Kind::Trigger));
        check("policies", Kinds::One(Kind::Policy));
        check("all", Kinds::All);
        assert!(kinds("secret").is_err());
    }

    #[test]
    fn an_empty_list_says_what_is_not_there() {
        let check = |kinds: &[Kind], namespace: Option<&str>, expect: &str| {
            let said = nothing(kinds, namespace);
            assert!(said.starts_with(expect), "{said}");
        };
        check(&[Kind::Policy], None, "no policies;");
        check(&[Kind::Function], Some("shop"), "no functions in the namespace shop;");
        check(&Kind::ALL, None, "no resources;");
    }
}
