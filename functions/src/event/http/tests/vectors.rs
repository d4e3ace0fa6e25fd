//! The vectors of cloudevents/conformance and the JSON schema of cloudevents/spec.

use serde_json::{Map, Value};

use super::*;

fn read_vector(name: &str) -> Option<String> {
    crate::vectors::read(&format!("cloudevents/{name}"))
}

/// One scenario of the feature: the request between the first `"""`, the table, the JSON between the second.
#[test]
fn feature_of_the_http_binding() {
    let Some(feature) = read_vector("http-protocol-binding.feature") else { return };
    let mut scenarios = 0;
    for outline in feature.split("Scenario Outline:").skip(1) {
        let (scenario, examples) = outline.split_once("Examples:").unwrap();
        let content_types: Vec<&str> = examples
            .lines()
            .filter_map(|line| line.trim().strip_prefix('|'))
            .map(|c| c.trim_matches([' ', '|']))
            .collect();
        for content_type in &content_types[1..] {
            check_scenario(&scenario.replace("<contentType>", content_type));
            scenarios += 1;
        }
    }
    assert_eq!(scenarios, 4, "the feature has four scenarios");
}

fn check_scenario(scenario: &str) {
    let parts: Vec<&str> = scenario.split("\"\"\"").collect();
    let lines: Vec<&str> = parts[1].trim().lines().map(str::trim).collect();
    let blank = lines.iter().position(|line| line.is_empty()).unwrap();
    let pairs: Vec<(&str, &str)> = lines[1..blank].iter().map(|line| line.split_once(": ").unwrap()).collect();
    let body = lines[blank + 1..].join("\n");
    let events = decode_default(&headers(&pairs), body).unwrap();
    let rows = parts[2].lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|')?.split_once('|'));
    let mut checked = 0;
    for (key, value) in rows.map(|(key, value)| (key.trim(), value.trim())).filter(|(key, _)| *key != "key") {
        assert_eq!(events[0].attribute(key), Some(value), "{key}");
        checked += 1;
    }
    assert_eq!(checked, events[0].attributes().count());
    let data: Value = serde_json::from_slice(events[0].data().unwrap()).unwrap();
    assert_eq!(data, serde_json::from_str::<Value>(parts[3]).unwrap());
    check_emission(&events[0]);
}

#[test]
fn events_of_the_conformance_suite() {
    let mut events = 0;
    for name in ["v1.yaml", "v1_minimum.yaml"] {
        let Some(text) = read_vector(name) else { return };
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for document in documents {
            let attributes = document["ContextAttributes"].as_object().unwrap();
            check_emission(&conformance_event(attributes, document["Data"].as_str().unwrap()));
            events += 1;
        }
    }
    assert_eq!(events, 8);
}

fn conformance_event(attributes: &Map<String, Value>, data: &str) -> Event {
    let mut builder = Event::builder().data(data.to_owned());
    for (name, value) in attributes {
        builder = match (name.as_str(), value) {
            // YAML reads 1.0 as a number.
            ("specversion", _) => builder,
            ("Extensions", Value::Object(extensions)) => extensions.iter().fold(builder, |builder, (name, value)| {
                // A block scalar ends with a line break, which no attribute may have.
                builder.extension(name.as_str(), value.as_str().unwrap().trim_end())
            }),
            (name, value) => builder.attribute(name, value.as_str().unwrap()),
        };
    }
    builder.build().unwrap()
}

/// What we write of an event: valid by the schema, and read back as the same event.
fn check_emission(event: &Event) {
    let written = encode_structured(event);
    check_schema(&serde_json::from_slice(&written).unwrap());
    let typed = headers(&[("content-type", STRUCTURED)]);
    assert_eq!(&decode_default(&typed, written).unwrap()[0], event);
    let (headers, body) = encode_binary(event);
    assert_eq!(&decode_default(&headers, body).unwrap()[0], event);
}

/// The schema by hand: what is required, and for each property its types and least length.
fn check_schema(written: &Value) {
    let Some(schema) = read_vector("cloudevents.schema.json") else { return };
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for required in schema["required"].as_array().unwrap() {
        assert!(written.get(required.as_str().unwrap()).is_some(), "{required} in {written}");
    }
    for (name, value) in written.as_object().unwrap() {
        let Some(property) = schema["properties"].get(name) else {
            assert!(value.is_string(), "extension {name}");
            continue;
        };
        let reference = property["$ref"].as_str().unwrap().trim_start_matches("#/definitions/");
        let definition = &schema["definitions"][reference];
        let types = definition["type"].as_array().cloned().unwrap_or_else(|| vec![definition["type"].clone()]);
        assert!(types.contains(&Value::from(json_type(value))), "{name}: {value}");
        let least = definition["minLength"].as_u64().unwrap_or(0);
        assert!(value.as_str().is_none_or(|text| text.len() as u64 >= least), "{name}: {value}");
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
