//! `weft tail`: the events of a topic as they are accepted.
//!
//! A person gets one line per event, cut to the width of the terminal; a program gets the node's own lines.

use std::process::ExitCode;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::job::expression;
use super::resource::text;
use super::terminal::{fit, harmless};
use super::{Global, terminal};

/// `weft tail TOPIC`
#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    /// The topic's name, or NAMESPACE/NAME
    topic: String,
    /// Where to begin: beginning, end, a sequence, or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "WHERE", default_value = "end", value_parser = position)]
    from: String,
    /// End after this many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only events for which this CESQL expression is true
    #[arg(long = "where", value_name = "CESQL")]
    filter: Option<String>,
}

pub(super) async fn run(args: &TailArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let filter = args.filter.as_deref().map(expression).transpose()?;
    let topic = global.target(&args.topic)?;
    let width = terminal::width();
    let mut lines = global.client()?.follow(&topic, &args.from, args.limit, filter).await?;
    let mut seen: u64 = 0;
    let mut last = None;
    while args.limit.is_none_or(|limit| seen < limit) {
        let Some(line) = lines.next().await? else { break };
        let entry: Value = serde_json::from_slice(&line)
            .map_err(|error| anyhow::anyhow!("the node sent a line that is no event: {error}"))?;
        if global.json() {
            // The node's own line, not our reading of it: numbers in data stay as they are.
            terminal::write(&line)?;
            terminal::write(b"\n")?;
        } else {
            terminal::say(&readable(&entry, width))?;
        }
        last = text(&entry, "/sequence");
        seen += 1;
    }
    if args.limit.is_some_and(|limit| seen >= limit) {
        return Ok(ExitCode::SUCCESS);
    }
    let after = last.map(|last| format!(" after #{}", harmless(&last))).unwrap_or_default();
    anyhow::bail!("the node ended the stream{after}; is it shutting down? go on with --from")
}

/// `#7  03:04:05.678  order.created  /shop  id=1  subject=o-1  {"amount":12}`
fn readable(entry: &Value, width: Option<usize>) -> String {
    let field = |pointer: &str| text(entry, pointer).unwrap_or_else(|| "?".to_owned());
    let mut parts = vec![
        format!("#{}", field("/sequence")),
        clock(&field("/time")),
        field("/event/type"),
        field("/event/source"),
        format!("id={}", field("/event/id")),
    ];
    parts.extend(text(entry, "/event/subject").map(|subject| format!("subject={subject}")));
    parts.extend(data(entry));
    let line = harmless(&parts.join("  "));
    width.map_or(line.clone(), |width| fit(&line, width))
}

/// The data in one line: text as it is, JSON compact, bytes as their number.
fn data(entry: &Value) -> Option<String> {
    match (entry.pointer("/event/data"), entry.pointer("/event/data_base64")) {
        (Some(Value::String(text)), _) => Some(text.clone()),
        (Some(value), _) => Some(value.to_string()),
        (None, Some(Value::String(base64))) => Some(format!("({} bytes)", base64.trim_end_matches('=').len() * 3 / 4)),
        (None, _) => None,
    }
}

/// The time of day; the date is rarely in question while one watches. Anything else is shown as it came.
fn clock(time: &str) -> String {
    match OffsetDateTime::parse(time, &Rfc3339) {
        Ok(at) => format!("{:02}:{:02}:{:02}.{:03}", at.hour(), at.minute(), at.second(), at.millisecond()),
        Err(_) => time.to_owned(),
    }
}

/// A word, a sequence or a time.
pub(super) fn position(text: &str) -> Result<String, String> {
    let sequence = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let known = matches!(text, "beginning" | "end") || sequence || OffsetDateTime::parse(text, &Rfc3339).is_ok();
    if known {
        Ok(text.to_owned())
    } else {
        Err("expected beginning, end, a sequence such as 42, or a time such as 2026-01-02T03:04:05Z".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_that_fits() {
        let check = |event: Value, width: Option<usize>, expect: &str| {
            let entry = json!({"sequence": "7", "time": "2026-01-02T03:04:05.678Z", "event": event});
            assert_eq!(readable(&entry, width), expect);
        };
        let event = json!({"id": "1", "source": "/shop", "type": "order.created", "data": {"amount": 12}});
        check(event.clone(), None, "#7  03:04:05.678  order.created  /shop  id=1  {\"amount\":12}");
        check(event, Some(30), "#7  03:04:05.678  order.creat…");
        check(
            json!({"id": "1", "source": "/s", "type": "t", "subject": "o-1", "data": "two\nlines \u{1b}[2J"}),
            None,
            "#7  03:04:05.678  t  /s  id=1  subject=o-1  two\\nlines \\u{1b}[2J",
        );
        check(
            json!({"id": "1", "source": "/s", "type": "t", "data_base64": "/w=="}),
            None,
            "#7  03:04:05.678  t  /s  id=1  (1 bytes)",
        );
        check(json!({}), None, "#7  03:04:05.678  ?  ?  id=?");
    }

    #[test]
    fn a_position_is_checked_before_it_is_sent() {
        for good in ["beginning", "end", "42", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+01:00"] {
            assert_eq!(position(good).as_deref(), Ok(good));
        }
        for bad in ["", "yesterday", "-1", "2026-01-02", "42abc"] {
            assert!(position(bad).is_err(), "{bad}");
        }
    }
}
