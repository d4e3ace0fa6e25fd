//! The conformance suite of CloudEvents SQL v1: 275 cases in 18 files, value and class of error of each.

use serde::Deserialize;
use serde_json::Value as Json;

use super::*;

const FILES: [&str; 18] = [
    "binary_comparison_operators",
    "binary_logical_operators",
    "binary_math_operators",
    "case_sensitivity",
    "casting_functions",
    "context_attributes_access",
    "exists_expression",
    "in_expression",
    "integer_builtin_functions",
    "like_expression",
    "literals",
    "negate_operator",
    "not_operator",
    "parse_errors",
    "spec_examples",
    "string_builtin_functions",
    "sub_expression",
    "subscriptions_api_recreations",
];

const CASES: usize = 275;

#[derive(Deserialize)]
struct File {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    expression: String,
    result: Option<Json>,
    error: Option<String>,
    #[serde(default)]
    event: serde_json::Map<String, Json>,
    #[serde(default)]
    event_overrides: serde_json::Map<String, Json>,
}

/// An event whose attributes have the types that the suite gives them.
struct Typed {
    event: Event,
    given: serde_json::Map<String, Json>,
}

impl Attributes for Typed {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let text = Attributes::attribute(&self.event, name)?;
        let ty = self.given.get(name).map_or(Type::String, |given| literal(given).ty());
        text.cast(ty).ok()
    }
}

impl Case {
    fn input(&self) -> Typed {
        let mut given = self.event.clone();
        if given.is_empty() {
            given.extend([("id", "1"), ("source", "/s"), ("type", "t")].map(|(k, v)| (k.to_owned(), v.into())));
        }
        given.extend(self.event_overrides.clone());
        given.insert("specversion".to_owned(), "1.0".into());
        let fields = given.iter().map(|(name, value)| (name.as_str(), literal(value).into_text()));
        Typed { event: Event::from_fields(fields, None).unwrap(), given }
    }

    /// Value and class of error. A text that is no expression has the value `false`.
    fn run(&self, attributes: &dyn Attributes, cast: Option<Type>) -> (Value<'static>, Option<&'static str>) {
        let expression = match Expression::parse(&self.expression) {
            Ok(expression) => expression,
            Err(error) => return (Value::Boolean(false), Some(error.class.as_str())),
        };
        let Evaluation { value, error } = expression.evaluate(attributes);
        let value = cast.map_or(value.clone(), |ty| value.cast(ty).unwrap());
        let value = match value {
            Value::String(text) => Value::String(text.into_owned().into()),
            Value::Boolean(value) => Value::Boolean(value),
            Value::Integer(value) => Value::Integer(value),
        };
        (value, error.map(|error| error.class.as_str()))
    }
}

fn literal(json: &Json) -> Value<'_> {
    match json {
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => Value::Integer(number.as_i64().unwrap().try_into().unwrap()),
        Json::String(text) => Value::String(text.as_str().into()),
        other => panic!("{other} is no value"),
    }
}

#[test]
fn every_case_has_its_value_and_its_class_of_error() {
    let (mut cases, mut failed) = (0, Vec::new());
    for name in FILES {
        let Some(text) = crate::vectors::read(&format!("cesql_tck/{name}.yaml")) else { return };
        let file: File = serde_saphyr::from_str(&text).unwrap();
        for case in file.tests {
            cases += 1;
            let input = case.input();
            let expect = case.result.as_ref().map(literal);
            let (value, class) = case.run(&input, None);
            // An event of ours knows texts only: an attribute alone has to be cast, the rest is the same.
            let (plain, plain_class) = case.run(&input.event, expect.as_ref().map(Value::ty));
            let right = |value: Value<'_>| expect.as_ref().is_none_or(|expect| *expect == value);
            let classes = (class, plain_class) == (case.error.as_deref(), case.error.as_deref());
            if !(right(value.clone()) && right(plain) && classes) {
                failed.push(format!("{name}: {}: {} gives {value:?} {class:?}", case.name, case.expression));
            }
        }
    }
    println!("CESQL conformance suite: {}/{cases}", cases - failed.len());
    assert_eq!(failed, [""; 0]);
    assert_eq!(cases, CASES);
}
