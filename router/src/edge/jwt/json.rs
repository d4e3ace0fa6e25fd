//! JSON that means one thing to everybody: no member twice, and not deeper than anything that issuers write. A file of its
//! own because serde_json takes the last of two members and others take the first, which is how a token can say one thing
//! to its issuer and another to us.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Levels of arrays and objects within each other (`threats.md` D-04). Issuers' claims have four or five.
const DEPTH_MAX: u8 = 16;

/// Reads an object and nothing after it.
///
/// # Errors
/// It is not JSON, not an object, has a member twice or is too deep. The message says where and quotes no value.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { levels: DEPTH_MAX }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("an object was expected")),
    }
}

/// Reads any value with so many levels below it.
#[derive(Clone, Copy)]
struct Strict {
    levels: u8,
}

impl Strict {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(below)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom("a member is given twice"));
            }
            members.insert(name, map.next_value_seed(below)?);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        for text in [
            "{}",
            r#"{"a":1,"b":-1,"c":1.5,"d":"x","e":[null,true,{"a":[]}],"f":"A"}"#,
            r#" { "a" : 18446744073709551615 } "#,
        ] {
            let expect: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(Value::Object(object(text.as_bytes()).expect(text)), expect, "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let nested = |levels: usize| format!("{}{}{}", r#"{"a":"#.repeat(levels), "{}", "}".repeat(levels));
        assert!(object(nested(usize::from(DEPTH_MAX) - 1).as_bytes()).is_ok());
        let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(4_000), "]".repeat(4_000));
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":{"c":1,"c":2}}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            "[]",
            "1",
            "\"text\"",
            "null",
            "",
            "{",
            "{}{}",
            "{} x",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1e999}"#,
            r#"{"a":NaN}"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            "{\"a\":\"\u{1}\"}",
            &nested(usize::from(DEPTH_MAX)),
            &nested(1_000),
            &arrays,
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text:.80}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
    }
}
