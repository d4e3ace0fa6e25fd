//! What a resource says, read from the JSON that the node sent.
//!
//! Separate because `get`, `describe` and `deploy` read the same fields, and all must take a node that leaves one out
//! or has new ones: a field that is not there is nothing to show, not an error.

use serde_json::Value;

use super::table::NOTHING;

/// The text at a JSON pointer: a string as it is, a number or truth value in digits or words, a list joined by commas.
pub(super) fn text(resource: &Value, pointer: &str) -> Option<String> {
    show(resource.pointer(pointer)?)
}

/// The same, with `-` where there is nothing.
pub(super) fn cell(resource: &Value, pointer: &str) -> String {
    text(resource, pointer).unwrap_or_else(|| NOTHING.to_owned())
}

/// The count at a JSON pointer.
pub(super) fn count(resource: &Value, pointer: &str) -> Option<u64> {
    resource.pointer(pointer)?.as_u64()
}

/// How many events a topic holds: from its first sequence to before its next. Sequences are opaque texts to clients;
/// this shows a number only while both happen to be numbers.
pub(super) fn events_kept(topic: &Value) -> Option<u64> {
    let sequence = |pointer| topic.pointer(pointer)?.as_str()?.parse::<u64>().ok();
    Some(sequence("/status/next")?.saturating_sub(sequence("/status/first")?))
}

/// A value in one line.
pub(super) fn show(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(show).collect::<Vec<_>>().join(",")),
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| Some(format!("{key}={}", show(value)?));
            Some(fields.iter().filter_map(field).collect::<Vec<_>>().join(","))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_in_one_line() {
        let check = |value: Value, expect: Option<&str>| assert_eq!(show(&value).as_deref(), expect);
        check(json!(null), None);
        check(json!(""), None);
        check(json!([]), None);
        check(json!({}), None);
        check(json!("billing"), Some("billing"));
        check(json!(7), Some("7"));
        check(json!(false), Some("false"));
        check(json!(["a", "b"]), Some("a,b"));
        check(json!([{"topic": "orders"}, {"function": "hello"}]), Some("topic=orders,function=hello"));
    }

    #[test]
    fn a_topic_knows_how_many_events_it_keeps() {
        let check = |first: &str, next: &str, expect: Option<u64>| {
            assert_eq!(events_kept(&json!({"status": {"first": first, "next": next}})), expect);
        };
        check("1", "1", Some(0));
        check("1", "42", Some(41));
        check("40", "42", Some(2));
        check("x", "42", None);
        assert_eq!(events_kept(&json!({})), None);
    }
}
