//! `weft dead`: what a trigger gave up, what policy denied it and what expired: listed, shown, and delivered once more.

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use weft_functions::value::Namespaced;

use super::failure::wrong;
use super::job::{self, Begin};
use super::resource::{cell, text};
use super::terminal::harmless;
use super::{Global, table, terminal};

/// Entries that are listed unless somebody says otherwise.
const LIMIT: u32 = 100;

/// `weft dead …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum DeadCommand {
    /// List what ended without being delivered, oldest first
    List(ListArgs),
    /// Show one event with its attempts and the reason
    Show(ShowArgs),
    /// Deliver events once more
    Redrive(RedriveArgs),
}

/// `weft dead list TRIGGER`
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The trigger's name, or NAMESPACE/NAME
    trigger: String,
    /// List at most this many
    #[arg(long, value_name = "COUNT", default_value_t = LIMIT)]
    limit: u32,
    /// Only events for which this CESQL expression is true
    #[arg(long = "where", value_name = "CESQL")]
    filter: Option<String>,
}

/// `weft dead show TRIGGER EVENT_ID`
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The trigger's name, or NAMESPACE/NAME
    trigger: String,
    /// The event's id
    event: String,
    /// The event's source, if another has its id too
    #[arg(long)]
    source: Option<String>,
}

/// `weft dead redrive TRIGGER`
#[derive(Debug, clap::Args)]
pub(super) struct RedriveArgs {
    /// The trigger's name, or NAMESPACE/NAME
    trigger: String,
    /// Only the event of this id, even if it was redriven before
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Only events of this source
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    begin: Begin,
}

pub(super) async fn run(command: &DeadCommand, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        DeadCommand::List(args) => list(args, global).await,
        DeadCommand::Show(args) => show(args, global).await,
        DeadCommand::Redrive(args) => redrive(args, global).await,
    }
}

async fn list(args: &ListArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let trigger = global.target(&args.trigger)?;
    let ask = [("where", args.filter.as_deref())];
    let items = all(global, &trigger, &ask, Some(args.limit as usize)).await?;
    if global.json() {
        terminal::say_json(&json!({ "items": items }))?;
    } else if items.is_empty() {
        terminal::say(&format!("nothing of {trigger} ended dead, denied or expired"))?;
    } else {
        let rows: Vec<_> = items.iter().map(row).collect();
        terminal::say(&table::render(
            &["EVENT", "SOURCE", "TYPE", "STATE", "ATTEMPTS", "STATUS", "CODE", "AT"],
            &rows,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(item: &Value) -> Vec<String> {
    // Events that are gone have their sequences only.
    let id = text(item, "/event/id").unwrap_or_else(|| {
        let range = [text(item, "/sequence"), text(item, "/last")];
        format!("#{}", range.into_iter().flatten().collect::<Vec<_>>().join("-#"))
    });
    let cells = ["/event/source", "/event/type", "/state", "/attempts", "/cause/status", "/cause/code", "/at"];
    std::iter::once(id).chain(cells.map(|pointer| cell(item, pointer))).collect()
}

async fn show(args: &ShowArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let trigger = global.target(&args.trigger)?;
    let ask = [("event", Some(args.event.as_str())), ("source", args.source.as_deref())];
    let items = all(global, &trigger, &ask, None).await?;
    let Some(item) = items.last() else {
        anyhow::bail!("no event with the id {} ended dead, denied or expired at {trigger}", harmless(&args.event));
    };
    if global.json() {
        terminal::say_json(item)?;
    } else {
        terminal::say(&page(item))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One entry for people.
fn page(item: &Value) -> String {
    let mut lines = vec![format!(
        "event {} of {}: {} after {} attempts, at {}",
        cell(item, "/event/id"),
        cell(item, "/event/source"),
        cell(item, "/state"),
        cell(item, "/attempts"),
        cell(item, "/at")
    )];
    let empty = Map::new();
    lines.push("Cause".to_owned());
    for (name, value) in item.pointer("/cause").and_then(Value::as_object).unwrap_or(&empty) {
        lines.push(format!("  {name}  {}", value.as_str().unwrap_or_default()));
    }
    lines.push("Event".to_owned());
    for (name, value) in item.pointer("/event").and_then(Value::as_object).unwrap_or(&empty) {
        lines.push(format!("  {name}  {}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)));
    }
    lines.iter().map(|line| harmless(line)).collect::<Vec<_>>().join("\n")
}

async fn redrive(args: &RedriveArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let trigger = global.target(&args.trigger)?;
    let mut ask = args.begin.ask()?;
    for (name, value) in [("event", &args.event), ("source", &args.source)] {
        if let Some(value) = value {
            if value.is_empty() {
                return Err(wrong(format!("--{name} is empty")));
            }
            ask[name] = value.as_str().into();
        }
    }
    job::begin("redrive", &trigger, &ask, args.begin.wait, global).await
}

/// The entries of a trigger's dead logs, page by page.
async fn all(
    global: &Global,
    trigger: &Namespaced,
    ask: &[(&str, Option<&str>)],
    limit: Option<usize>,
) -> anyhow::Result<Vec<Value>> {
    let admin = global.client()?;
    let (mut items, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = admin.dead(trigger, ask, after.as_deref()).await?;
        items.extend(page.items);
        after = page.next;
        if let Some(limit) = limit.filter(|limit| items.len() >= *limit) {
            items.truncate(limit);
            return Ok(items);
        }
        if after.is_none() {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_row_and_a_page() {
        let item = json!({ "number": 1, "state": "dead", "attempts": 3, "at": "2026-01-02T03:04:05Z", "sequence": "7",
            "cause": { "status": "500", "decision": "d-1" },
            "event": { "id": "o-1", "source": "/shop", "type": "order", "data": { "amount": 12 } } });
        assert_eq!(row(&item), ["o-1", "/shop", "order", "dead", "3", "500", "-", "2026-01-02T03:04:05Z"]);
        let expect = "\
event o-1 of /shop: dead after 3 attempts, at 2026-01-02T03:04:05Z
Cause
  decision  d-1
  status  500
Event
  data  {\"amount\":12}
  id  o-1
  source  /shop
  type  order";
        assert_eq!(page(&item), expect);
        let gone = json!({ "state": "expired", "attempts": 0, "sequence": "7", "last": "9", "cause": { "reason": "retention" }, "event": null });
        assert_eq!(row(&gone)[0], "#7-#9");
    }
}
