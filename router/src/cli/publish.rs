//! `weft publish`: an event made of words, or one that is already written, into a topic.
//!
//! Both go out in structured mode: what the words make is the same document that `-f` reads, and the topic's answer
//! is the same. Whether the attributes are good ones is the topic's to say; it names the one that is not.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::client::{ClientError, DataCall, DataPlane, Problem, collect};
use super::failure::{FAILED, wrong};
use super::resource::text;
use super::{Global, payload, terminal};

/// The source of an event that names none.
pub(super) const SOURCE: &str = "/weft/cli";

/// Media types of structured mode (CloudEvents HTTP binding 1.0.2, sections 3.2 and 3.3).
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Attributes that have a flag or a fixed value; `--extension` is for the others.
const NOT_EXTENSIONS: [&str; 10] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"];

/// How long a topic may take to keep an event: the node refuses by itself what would wait longer than seconds for its
/// disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest answer: 1,000 events with an id of 4 KiB each.
const ANSWER_BYTES: usize = 8 << 20;

/// `weft publish TOPIC --type T …` or `weft publish TOPIC -f EVENT.json|-`
#[derive(Debug, clap::Args)]
pub(super) struct PublishArgs {
    /// The topic's name, or NAMESPACE/NAME
    topic: String,
    /// What happened, such as order.created
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "file")]
    event_type: Option<String>,
    /// Where it happened (default: /weft/cli)
    #[arg(long)]
    source: Option<String>,
    /// The event's id, unique within its source (default: a random one)
    #[arg(long)]
    id: Option<String>,
    /// What it happened to
    #[arg(long)]
    subject: Option<String>,
    /// The data: as it is, from @FILE, or - for standard input
    #[arg(short, long, value_name = "DATA|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
    /// The media type of the data (default: application/json if it parses, else text/plain)
    #[arg(long, value_name = "TYPE", requires = "data")]
    content_type: Option<String>,
    /// A further attribute (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_extension)]
    extension: Vec<(String, String)>,
    /// An event, or a list of events, in JSON; - for standard input
    #[arg(short, long, value_name = "EVENT.json|-", conflicts_with_all =
        ["event_type", "source", "id", "subject", "data", "content_type", "extension"])]
    file: Option<String>,
}

/// What is sent: a body and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    media_type: &'static str,
    body: Bytes,
}

pub(super) async fn run(args: &PublishArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let topic = global.target(&args.topic)?;
    let message = match &args.file {
        Some(path) => written(path, payload::read_path(path).await?)?,
        None => from_words(args).await?,
    };
    let plane = DataPlane::of(&global.client()?).await?;
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(message.media_type))]);
    let path = format!("/{}/{}", topic.namespace, topic.name);
    let host = plane.topics_host();
    let call = DataCall { method: Method::POST, host, path, headers, body: message.body, patience: PATIENCE };
    let response = plane.call(call).await?;
    let status = response.status();
    let body = collect(response.into_body(), ANSWER_BYTES, PATIENCE, plane.address()).await?;
    if !status.is_success() {
        return match Problem::read(&body) {
            Some(problem) => Err(ClientError::Refused(problem).into()),
            None => Err(anyhow::anyhow!("{} answered {status} to the event", plane.address())),
        };
    }
    if global.json() {
        terminal::write(&body)?;
        terminal::write(b"\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    match sentences(&body, topic.name.as_str()) {
        Some(sentences) => sentences.iter().try_for_each(|sentence| terminal::say(sentence))?,
        None => {
            terminal::complain(&format!("the topic answered {status}, but not which events it keeps"));
            return Ok(ExitCode::from(FAILED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An event that is already written, or a batch of them: sent byte for byte.
fn written(path: &str, body: Bytes) -> anyhow::Result<Message> {
    let name = if path == "-" { "standard input" } else { path };
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let media_type = match first {
        Some(b'{') => STRUCTURED,
        Some(b'[') => BATCH,
        _ => anyhow::bail!("{name} is no event: expected a JSON object, or a list of them"),
    };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
        anyhow::bail!("{name}:{}:{}: not JSON: {error}", error.line(), error.column());
    }
    Ok(Message { media_type, body })
}

async fn from_words(args: &PublishArgs) -> anyhow::Result<Message> {
    let data = match &args.data {
        Some(data) => Some(payload::read(data).await?),
        None => None,
    };
    let id = match &args.id {
        Some(id) => id.clone(),
        None => random_id()?,
    };
    let event = event(args, id, data.as_deref())?;
    Ok(Message { media_type: STRUCTURED, body: serde_json::to_vec(&event)?.into() })
}

/// The event as CloudEvents' JSON format has it. JSON data keeps its exact text: numbers are not read and written
/// again.
fn event(args: &PublishArgs, id: String, data: Option<&[u8]>) -> anyhow::Result<BTreeMap<String, Box<RawValue>>> {
    let mut attributes = BTreeMap::from([("specversion".to_owned(), "1.0".to_owned()), ("id".to_owned(), id)]);
    let mut set = |name: &str, value: Option<&str>| {
        value.map(|value| attributes.insert(name.to_owned(), value.to_owned())).is_some()
    };
    set("type", args.event_type.as_deref());
    set("source", Some(args.source.as_deref().unwrap_or(SOURCE)));
    set("subject", args.subject.as_deref());
    let media_type = data.map(|data| args.content_type.as_deref().unwrap_or_else(|| payload::media_type(data)));
    set("datacontenttype", media_type);
    for (name, value) in &args.extension {
        if attributes.insert(name.clone(), value.clone()).is_some() {
            return Err(wrong(format!("--extension gives {name} twice")));
        }
    }
    let mut event = BTreeMap::new();
    for (name, value) in attributes {
        event.insert(name, to_raw_value(&value)?);
    }
    if let (Some(data), Some(media_type)) = (data, media_type) {
        let (name, value) = data_member(data, media_type)?;
        event.insert(name.to_owned(), value);
    }
    Ok(event)
}

/// How the JSON format carries data (CloudEvents JSON format 1.0.2, section 3.1).
fn data_member(data: &[u8], media_type: &str) -> anyhow::Result<(&'static str, Box<RawValue>)> {
    let Ok(text) = std::str::from_utf8(data) else {
        return Ok(("data_base64", to_raw_value(&STANDARD.encode(data))?));
    };
    if !is_json_type(media_type) {
        return Ok(("data", to_raw_value(text)?));
    }
    let value = RawValue::from_string(text.trim().to_owned())
        .map_err(|error| wrong(format!("--content-type says {media_type}, but the data is not JSON: {error}")))?;
    Ok(("data", value))
}

/// `*/json` and `*/*+json`, whatever its parameters.
fn is_json_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// A version 4 UUID (RFC 9562, section 5.4).
fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("no random id to be had: {error}; give one with --id"))?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{number:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Ok(groups.join("-"))
}

/// What became of each event; `None` when the answer is not the topic's.
fn sentences(body: &[u8], topic: &str) -> Option<Vec<String>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let accepted = answer.get("accepted")?.as_array()?;
    if accepted.is_empty() {
        return Some(vec![format!("nothing to accept: {topic} took an empty list")]);
    }
    Some(accepted.iter().map(|event| sentence(event, topic)).collect())
}

fn sentence(event: &Value, topic: &str) -> String {
    let sequence = text(event, "/sequence").unwrap_or_else(|| "?".to_owned());
    let id = text(event, "/id").unwrap_or_else(|| "?".to_owned());
    let duplicate = event.get("duplicate").and_then(Value::as_bool).unwrap_or(false);
    let relaxed = text(event, "/durability").is_some_and(|durability| durability == "relaxed");
    let said = match (duplicate, relaxed) {
        (true, _) => format!("duplicate of {topic} #{sequence} (id {id}): accepted once, kept once"),
        (false, true) => format!("accepted {topic} #{sequence} (id {id}), not on disk yet (durability: relaxed)"),
        (false, false) => format!("accepted {topic} #{sequence} (id {id})"),
    };
    terminal::harmless(&said)
}

pub(super) fn parse_extension(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, _)) if NOT_EXTENSIONS.contains(&name) => {
            Err(format!("{name} is not an extension; see --help for the flag that sets it"))
        }
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
