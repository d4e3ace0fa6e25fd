//! `weft explain`: why a request, an event or a decision of the past gets the answer it gets.
//!
//! The node explains; this command asks and shows. A dry run is only a question: nothing is called, published or started.

mod delivery;
mod page;
mod verdict;

use std::process::ExitCode;

use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::failure::wrong;
use super::{Global, invoke, payload, publish, terminal};

/// `weft explain …`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ExplainArgs {
    /// A decision's id, as in the x-weft-decision header of an answer
    #[arg(value_name = "DECISION_ID", required = true)]
    decision: Option<String>,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is to be explained, if not a decision.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// What would become of a request; sends none
    Request(RequestArgs),
    /// What would become of an event, at its topic and at each trigger; publishes none
    Event(EventArgs),
    /// What became of an event that was published
    Delivery(DeliveryArgs),
}

/// In whose name a question is asked.
#[derive(Debug, Default, clap::Args)]
struct WhomArgs {
    /// The caller: a SPIFFE id, or jwt:ISSUER/SUBJECT; once each (default: who asks)
    #[arg(long = "as", value_name = "IDENTITY")]
    identities: Vec<String>,
    /// A claim of the token, as text or JSON (may be repeated)
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim, requires = "identities")]
    claims: Vec<(String, Value)>,
}

#[derive(Debug, clap::Args)]
struct RequestArgs {
    /// The address, as a client would call it
    #[arg(value_name = "URL")]
    url: String,
    /// The method
    #[arg(short = 'X', long = "request", value_name = "METHOD", default_value = "GET")]
    method: Method,
    /// A header of the request (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = invoke::parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    whom: WhomArgs,
}

#[derive(Debug, clap::Args)]
struct EventArgs {
    /// The topic's name, or NAMESPACE/NAME
    topic: String,
    /// What happened, such as order.created
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "file")]
    event_type: Option<String>,
    /// Where it happened (default: /weft/cli)
    #[arg(long)]
    source: Option<String>,
    /// The event's id (default: explain)
    #[arg(long)]
    id: Option<String>,
    /// What it happened to
    #[arg(long)]
    subject: Option<String>,
    /// A further attribute (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = publish::parse_extension)]
    extension: Vec<(String, String)>,
    /// An event in JSON; - for standard input
    #[arg(short, long, value_name = "EVENT.json|-",
        conflicts_with_all = ["event_type", "source", "id", "subject", "extension"])]
    file: Option<String>,
    #[command(flatten)]
    whom: WhomArgs,
}

#[derive(Debug, clap::Args)]
struct DeliveryArgs {
    /// The event's id
    #[arg(value_name = "EVENT_ID")]
    id: String,
    /// The event's source (default: any)
    #[arg(long)]
    source: Option<String>,
    /// The topic that has it, or NAMESPACE/NAME (default: any)
    #[arg(long)]
    topic: Option<String>,
    /// Show which events led to it, and which it led to
    #[arg(long)]
    tree: bool,
}

pub(super) async fn run(args: &ExplainArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let admin = global.client()?;
    let colour = terminal::colour_of_results();
    let width = terminal::width().unwrap_or(page::WIDTH).min(page::WIDTH);
    let (explained, text) = match (&args.what, &args.decision) {
        (Some(What::Request(args)), _) => {
            let explained = admin.explain("request", &args.ask()).await?;
            let text = verdict::text(&explained, width, colour);
            (explained, text)
        }
        (Some(What::Event(args)), _) => {
            let topic = global.target(&args.topic)?;
            let explained = admin.explain("event", &args.ask(&topic.to_string()).await?).await?;
            let text = verdict::text(&explained, width, colour);
            (explained, text)
        }
        (Some(What::Delivery(args)), _) => {
            let explained = admin.explain_delivery(&args.query(global)?).await?;
            let text = delivery::text(&explained, width, colour);
            (explained, text)
        }
        (None, Some(id)) => {
            let explained = admin.explain_decision(&decision(id)?).await?;
            let text = verdict::text(&explained, width, colour);
            (explained, text)
        }
        (None, None) => return Err(wrong("name what is to be explained; see 'weft explain --help'")),
    };
    match global.json() {
        true => terminal::say_json(&explained)?,
        false => terminal::say(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl RequestArgs {
    fn ask(&self) -> Value {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let ask = json!({ "url": self.url, "method": self.method.as_str(), "headers": headers });
        self.whom.beside(ask)
    }
}

impl EventArgs {
    async fn ask(&self, topic: &str) -> anyhow::Result<Value> {
        let event = match &self.file {
            Some(path) => serde_json::from_slice(&payload::read_path(path).await?)
                .map_err(|error| anyhow::anyhow!("{path} is no event in JSON: {error}"))?,
            None => self.event(),
        };
        Ok(self.whom.beside(json!({ "topic": topic, "event": event })))
    }

    fn event(&self) -> Value {
        let mut event = Map::new();
        let mut set = |name: &str, value: &str| event.insert(name.to_owned(), value.into());
        set("specversion", "1.0");
        set("id", self.id.as_deref().unwrap_or("explain"));
        set("source", self.source.as_deref().unwrap_or(publish::SOURCE));
        if let Some(ty) = &self.event_type {
            set("type", ty);
        }
        if let Some(subject) = &self.subject {
            set("subject", subject);
        }
        for (name, value) in &self.extension {
            set(name, value);
        }
        Value::Object(event)
    }
}

impl DeliveryArgs {
    fn query(&self, global: &Global) -> anyhow::Result<String> {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query = format!("id={}", escaped(&self.id));
        if let Some(source) = &self.source {
            query.push_str(&format!("&source={}", escaped(source)));
        }
        if let Some(topic) = &self.topic {
            query.push_str(&format!("&topic={}", escaped(&global.target(topic)?.to_string())));
        }
        if self.tree {
            query.push_str("&tree=true");
        }
        Ok(query)
    }
}

impl WhomArgs {
    /// The question with whose it is.
    fn beside(&self, mut ask: Value) -> Value {
        ask["as"] = json!(self.identities);
        ask["claims"] = Value::Object(self.claims.iter().cloned().collect());
        ask
    }
}

/// An id, escaped for an address. What begins like none is more likely a mistyped word.
fn decision(id: &str) -> anyhow::Result<String> {
    if !id.starts_with("d-") {
        return Err(wrong(format!(
            "{id} is not a decision's id, which begins with d-; to explain something else, say 'weft explain request', \
             'event' or 'delivery'"
        )));
    }
    Ok(utf8_percent_encode(id, NON_ALPHANUMERIC).to_string())
}

/// `NAME=VALUE`; a value that is JSON is taken as such, so that a list is a list.
fn claim(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_text_or_json() {
        let check = |text: &str, name: &str, value: Value| assert_eq!(claim(text), Ok((name.to_owned(), value)));
        check("role=clerk", "role", json!("clerk"));
        check("roles=[\"a\",\"b\"]", "roles", json!(["a", "b"]));
        check("level=7", "level", json!(7));
        check("note=a=b", "note", json!("a=b"));
        check("empty=", "empty", json!(""));
        assert!(claim("=x").is_err() && claim("x").is_err());
    }

    #[test]
    fn an_id_is_escaped_and_a_word_is_no_id() {
        assert_eq!(decision("d-0ab").unwrap(), "d%2D0ab");
        assert_eq!(decision("d-../x").unwrap(), "d%2D%2E%2E%2Fx");
        assert!(decision("requst").is_err());
    }
}
