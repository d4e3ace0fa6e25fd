//! How `when` names what it looks at: Istio's keys, and ours beside them.

use std::fmt;
use std::str::FromStr;

use super::ConditionKey;
use crate::event::is_attribute_name;
use crate::identity_field::{is_identity, is_identity_attribute};
use crate::manifest::nearest;
use crate::value::ValueError;

/// How each key begins, and what must follow in brackets.
const FORMS: [&str; 9] = [
    "request.headers[NAME]",
    "source.principal",
    "source.namespace",
    "origin.principal",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "request.auth.claims[NAME]",
    "event.attributes[NAME]",
];

/// Keys of Istio's that weft has by another name, or not at all.
const ELSEWHERE: [(&str, &str); 7] = [
    ("source.ip", "use `ipBlocks`"),
    ("remote.ip", "use `ipBlocks`, the address of the connection"),
    ("source.serviceAccount", "use `source.principal`"),
    ("destination.ip", "use `targets`"),
    ("destination.port", "use `targets`; ports are not matched"),
    ("connection.sni", "use `hosts`, with which it must agree"),
    ("request.host", "use `hosts`"),
];

/// Names in a claim's path.
const CLAIM_DEPTH: usize = 8;

/// Longest name of a claim.
const CLAIM_BYTES: usize = 256;

impl ConditionKey {
    /// Whether a call has several of them: then one must match, and none may (`notValues`).
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Header(_) | Self::AuthAudiences | Self::AuthClaim(_))
    }
}

impl FromStr for ConditionKey {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (base, names) = match text.find('[') {
            Some(at) => {
                (&text[..at], Some(bracketed(&text[at..]).ok_or_else(|| wrong(text, "its brackets do not fit"))?))
            }
            None => (text, None),
        };
        match (base, names) {
            ("source.principal", None) => Ok(Self::SourcePrincipal),
            ("source.namespace", None) => Ok(Self::SourceNamespace),
            ("origin.principal", None) => Ok(Self::OriginPrincipal),
            ("request.auth.principal", None) => Ok(Self::AuthPrincipal),
            ("request.auth.audiences", None) => Ok(Self::AuthAudiences),
            ("request.auth.presenter", None) => Ok(Self::AuthPresenter),
            ("request.auth.claims", Some(names)) => claim(text, &names),
            ("request.headers", Some(names)) => header(text, one(text, &names)?),
            ("event.attributes", Some(names)) => attribute(text, one(text, &names)?),
            _ => Err(unknown(text, base)),
        }
    }
}

/// `[a][b]`: the names; `None` if there is anything else.
fn bracketed(text: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('[')?.split_once(']')?;
        if name.is_empty() || name.contains('[') {
            return None;
        }
        names.push(name);
        rest = after;
    }
    Some(names)
}

fn one<'a>(text: &str, names: &[&'a str]) -> Result<&'a str, ValueError> {
    match names {
        [name] => Ok(name),
        _ => Err(wrong(text, "it takes one name in brackets")),
    }
}

fn claim(text: &str, names: &[&str]) -> Result<ConditionKey, ValueError> {
    let legal = |name: &&str| name.len() <= CLAIM_BYTES && !name.contains(char::is_control);
    if names.len() > CLAIM_DEPTH || !names.iter().all(legal) {
        return Err(wrong(text, "a claim has at most 8 names of 256 bytes without control characters"));
    }
    Ok(ConditionKey::AuthClaim(names.iter().map(|name| (*name).to_owned()).collect()))
}

fn header(text: &str, name: &str) -> Result<ConditionKey, ValueError> {
    let Ok(name) = name.parse::<http::HeaderName>() else {
        return Err(wrong(text, "that is not the name of a header"));
    };
    let name = name.as_str();
    if name == "host" {
        return Err(wrong(text, "use `hosts`"));
    }
    if name.contains('_') {
        return Err(wrong(text, "headers with an underscore are refused"));
    }
    if is_identity(name) {
        return Err(wrong(text, "that header is removed from what arrives; use `principals` or `ipBlocks`"));
    }
    Ok(ConditionKey::Header(name.to_owned()))
}

fn attribute(text: &str, name: &str) -> Result<ConditionKey, ValueError> {
    if !is_attribute_name(name) {
        return Err(wrong(text, "that is not the name of an attribute, which has a-z and 0-9 only"));
    }
    if is_identity_attribute(name) {
        return Err(wrong(
            text,
            "that attribute is removed from what arrives; use `origin.principal` or `source.principal`",
        ));
    }
    Ok(ConditionKey::EventAttribute(name.to_owned()))
}

fn wrong(text: &str, why: &str) -> ValueError {
    ValueError::new(format!("`{}` is not a condition: {why}", text.escape_debug()))
}

fn unknown(text: &str, base: &str) -> ValueError {
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(key, _)| *key == base) {
        return wrong(text, hint);
    }
    let bases = FORMS.iter().map(|form| form.split('[').next().unwrap_or(form));
    let form = nearest(base, bases).and_then(|near| FORMS.iter().find(|form| form.split('[').next() == Some(near)));
    match form {
        Some(form) => wrong(text, &format!("did you mean `{form}`?")),
        None => wrong(text, &format!("expected one of {}", FORMS.join(", "))),
    }
}

/// The key as written in a manifest.
impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "request.headers[{name}]"),
            Self::SourcePrincipal => f.write_str("source.principal"),
            Self::SourceNamespace => f.write_str("source.namespace"),
            Self::OriginPrincipal => f.write_str("origin.principal"),
            Self::AuthPrincipal => f.write_str("request.auth.principal"),
            Self::AuthAudiences => f.write_str("request.auth.audiences"),
            Self::AuthPresenter => f.write_str("request.auth.presenter"),
            Self::AuthClaim(names) => {
                f.write_str("request.auth.claims")?;
                names.iter().try_for_each(|name| write!(f, "[{name}]"))
            }
            Self::EventAttribute(name) => write!(f, "event.attributes[{name}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |text: &str, expect: ConditionKey| {
            let read: ConditionKey = text.parse().unwrap();
            assert_eq!((&read, read.to_string().as_str()), (&expect, text));
        };
        check("request.headers[x-tier]", ConditionKey::Header("x-tier".into()));
        check("source.principal", ConditionKey::SourcePrincipal);
        check("source.namespace", ConditionKey::SourceNamespace);
        check("origin.principal", ConditionKey::OriginPrincipal);
        check("request.auth.principal", ConditionKey::AuthPrincipal);
        check("request.auth.audiences", ConditionKey::AuthAudiences);
        check("request.auth.presenter", ConditionKey::AuthPresenter);
        check("request.auth.claims[role]", ConditionKey::AuthClaim(vec!["role".into()]));
        check(
            "request.auth.claims[realm access][https://x.example/y]",
            ConditionKey::AuthClaim(vec!["realm access".into(), "https://x.example/y".into()]),
        );
        check("event.attributes[type]", ConditionKey::EventAttribute("type".into()));
        assert_eq!("request.headers[X-Tier]".parse(), Ok(ConditionKey::Header("x-tier".into())));
    }

    #[test]
    fn what_is_no_key_says_what_is() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<ConditionKey>().unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not a condition: {expect}"));
        };
        let all = format!("expected one of {}", FORMS.join(", "));
        check("", &all);
        check("subject", &all);
        check("request.header[x]", "did you mean `request.headers[NAME]`?");
        check("request.headers", "did you mean `request.headers[NAME]`?");
        check("source.principals", "did you mean `source.principal`?");
        check("source.principal[x]", "did you mean `source.principal`?");
        check("request.auth.claim[x]", "did you mean `request.auth.claims[NAME]`?");
        check("source.ip", "use `ipBlocks`");
        check("request.headers[]", "its brackets do not fit");
        check("request.headers[a", "its brackets do not fit");
        check("request.headers[a]b", "its brackets do not fit");
        check("request.headers[[a]]", "its brackets do not fit");
        check("request.headers[a][b]", "it takes one name in brackets");
        check("request.headers[a b]", "that is not the name of a header");
        check("request.headers[Host]", "use `hosts`");
        check("request.headers[x_a]", "headers with an underscore are refused");
        let removed = "that header is removed from what arrives; use `principals` or `ipBlocks`";
        check("request.headers[x-weft-principal]", removed);
        check("request.headers[X-Forwarded-For]", removed);
        check("event.attributes[Type]", "that is not the name of an attribute, which has a-z and 0-9 only");
        check("event.attributes[data]", "that is not the name of an attribute, which has a-z and 0-9 only");
        let removed = "that attribute is removed from what arrives; use `origin.principal` or `source.principal`";
        check("event.attributes[weftorigin]", removed);
        check("event.attributes[authid]", removed);
        let deep = format!("request.auth.claims{}", "[a]".repeat(9));
        check(&deep, "a claim has at most 8 names of 256 bytes without control characters");
    }
}
