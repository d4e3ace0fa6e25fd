//! A set of public keys that stands in a manifest (`jwks`). Only its shape is looked at: which key verifies what is for
//! whoever verifies tokens. Secrets are refused here, since a manifest is shown to everybody who may read resources.

use serde_json::Value;

use crate::value::ValueError;

/// Longest key set in bytes of JSON, inline or fetched (`threats.md` D-05).
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Keys in a set, inline or fetched (`threats.md` D-05).
pub const JWKS_KEYS_MAX: usize = 64;

/// Members that only a private or a shared key has (RFC 7518, sections 6.2.2, 6.3.2 and 6.4).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A JWK Set (RFC 7517, section 5): a JSON object with 1 to 64 keys in `keys`, at most 256 KiB, none of them secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineKeys(Value);

impl InlineKeys {
    /// The set as JSON.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Reads a set from JSON text.
    pub(super) fn from_text(text: &str) -> Result<Self, ValueError> {
        if text.len() > JWKS_BYTES_MAX {
            return Err(too_long());
        }
        let json = serde_json::from_str(text).map_err(|error| ValueError::new(format!("this is not JSON: {error}")))?;
        Self::from_json(json)
    }

    /// Takes a set that was read already.
    pub(super) fn from_json(json: Value) -> Result<Self, ValueError> {
        if json.to_string().len() > JWKS_BYTES_MAX {
            return Err(too_long());
        }
        let Some(keys) = json.get("keys").and_then(Value::as_array) else {
            return Err(ValueError::new("a key set is a JSON object with a list of `keys` (RFC 7517, section 5)"));
        };
        if !(1..=JWKS_KEYS_MAX).contains(&keys.len()) {
            let found = keys.len();
            return Err(ValueError::new(format!("a key set has 1 to {JWKS_KEYS_MAX} keys, found {found}")));
        }
        for (index, key) in keys.iter().enumerate() {
            check_key(key).map_err(|why| ValueError::new(format!("`keys[{index}]` {why}")))?;
        }
        Ok(Self(json))
    }
}

fn too_long() -> ValueError {
    ValueError::new(format!("a key set has at most {JWKS_BYTES_MAX} bytes"))
}

fn check_key(key: &Value) -> Result<(), String> {
    if key.get("kty").and_then(Value::as_str).is_none() {
        return Err("is not a key: a JSON object with the text `kty` is expected".to_owned());
    }
    match SECRET_MEMBERS.iter().find(|member| key.get(**member).is_some()) {
        Some(member) => Err(format!("has the member `{member}`, which is secret: name its public half only")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let check = |text: &str, expect: Option<&str>| {
            let read = InlineKeys::from_text(text).err().map(|error| error.to_string());
            match (&read, expect) {
                (Some(error), Some(expect)) => assert!(error.contains(expect), "{text}: {error}"),
                _ => assert_eq!(read.as_deref(), expect, "{text}"),
            }
        };
        let many = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![r#"{"kty":"OKP"}"#; count].join(","));
        check(r#"{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}],"other":1}"#, None);
        check(&many(JWKS_KEYS_MAX), None);
        check(&many(JWKS_KEYS_MAX + 1), Some("1 to 64 keys, found 65"));
        check(r#"{"keys":[]}"#, Some("1 to 64 keys, found 0"));
        check("[]", Some("a JSON object with a list of `keys`"));
        check(r#"{"keys":{}}"#, Some("a JSON object with a list of `keys`"));
        check(r#"{"keys":[1]}"#, Some("`keys[0]` is not a key"));
        check(r#"{"keys":[{"kty":"RSA"},{"kty":7}]}"#, Some("`keys[1]` is not a key"));
        check(r#"{"keys":[{"kty":"OKP","d":"x"}]}"#, Some("`d`, which is secret"));
        check(r#"{"keys":[{"kty":"oct","k":"x"}]}"#, Some("`k`, which is secret"));
        check("{", Some("this is not JSON"));
        check(&format!("\"{}\"", "a".repeat(JWKS_BYTES_MAX)), Some("at most 262144 bytes"));
    }
}
