//! The fields of an envelope in a record's headers, format 2, and how format 1 is read. Separate, because this is what
//! other versions of weft read; golden files hold it.
//!
//! ```text
//! weft/envelope 2   weft/oldest-reader 2
//! weft/principal    workload ID | subject SCOPE ISS/SUB (SCOPE: a namespace, or `-` for the whole mesh) | anonymous
//! weft/origin, weft/via (optional)   as weft/principal
//! weft/how          how the principal was proven at admission
//! weft/token        optional JSON: {"subject","scope"?,"claims":{…},"pass":[…]}
//! weft/admitted     milliseconds since 1970          weft/hops   0 to 255
//! weft/nodata       there if the event has no data
//! weft/proof        ALGORITHM KEY-ID BASE64URL
//! ```
//!
//! Format 1 had `weft/envelope`, ids as bare text in `weft/principal`, `weft/origin` and `weft/via`, `weft/hops` and
//! `weft/nodata`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Envelope, EnvelopeError};
use crate::path::caller::{Caller, Principal, Proof, Subject, Token};

/// The format that this version writes, and the oldest reader that understands it.
const FORMAT: &str = "2";
const OLDEST_READER: &str = "2";

const VERSION: &str = "weft/envelope";
const READER: &str = "weft/oldest-reader";
const PRINCIPAL: &str = "weft/principal";
const ORIGIN: &str = "weft/origin";
const VIA: &str = "weft/via";
const HOW: &str = "weft/how";
const TOKEN: &str = "weft/token";
const ADMITTED: &str = "weft/admitted";
const HOPS: &str = "weft/hops";
/// Stands in the record of an event without data, which is not the same as one whose data is empty.
pub(super) const NO_DATA: &str = "weft/nodata";
pub(super) const PROOF: &str = "weft/proof";

/// Claims that are more than claims: the token's audiences and its presenter.
const AUDIENCES: &str = "aud";
const PRESENTER: &str = "azp";

type Headers = [(String, String)];

/// Formats that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Which format the record has. A newer one may say that this reader suffices.
pub(super) fn version(headers: &Headers) -> Result<Version, EnvelopeError> {
    match (field(headers, VERSION)?, field(headers, READER)) {
        ("1", _) => Ok(Version::One),
        (_, Ok(OLDEST_READER)) => Ok(Version::Two),
        (other, _) => Err(EnvelopeError::Newer(other.to_owned())),
    }
}

/// The fields for what `caller` publishes, all but those that depend on the event.
pub(super) fn of(caller: &Caller, admitted_ms: u64, hops: u8, keep: &[String]) -> Vec<(String, String)> {
    let mut fields = vec![
        (VERSION.to_owned(), FORMAT.to_owned()),
        (READER.to_owned(), OLDEST_READER.to_owned()),
        (PRINCIPAL.to_owned(), written(&caller.principal)),
        (ORIGIN.to_owned(), written(&caller.origin)),
        (HOW.to_owned(), caller.how.as_str().to_owned()),
        (ADMITTED.to_owned(), admitted_ms.to_string()),
        (HOPS.to_owned(), hops.to_string()),
    ];
    if let Some(via) = &caller.via {
        fields.push((VIA.to_owned(), written(via)));
    }
    if let Some(token) = &caller.token {
        fields.push((TOKEN.to_owned(), KeptToken::of(token, keep).to_text()));
    }
    fields
}

/// The envelope that the fields of a record describe; `kept_ms` is when the log took it.
pub(super) fn read(headers: &Headers, kept_ms: u64) -> Result<Envelope, EnvelopeError> {
    let version = version(headers)?;
    let principal = |name: &'static str| {
        let text = field(headers, name)?;
        let read = match version {
            Version::One => text.parse().ok().map(Principal::Workload),
            Version::Two => principal_of(text),
        };
        read.ok_or(EnvelopeError::Field(name))
    };
    let mut caller = Caller::direct(principal(PRINCIPAL)?, Proof::Event);
    caller.origin = principal(ORIGIN)?;
    caller.via = field(headers, VIA).ok().map(|_| principal(VIA)).transpose()?;
    let hops = number(headers, HOPS)?;
    if version == Version::One {
        return Ok(Envelope { caller, admitted_by: Proof::Event, admitted_ms: kept_ms, hops });
    }
    if let Ok(text) = field(headers, TOKEN) {
        let kept: KeptToken = serde_json::from_str(text).map_err(|_| EnvelopeError::Field(TOKEN))?;
        caller.token = Some(Arc::new(kept.into_token().ok_or(EnvelopeError::Field(TOKEN))?));
    }
    let how = field(headers, HOW)?;
    let admitted_by = Proof::ALL.into_iter().find(|proof| proof.as_str() == how).ok_or(EnvelopeError::Field(HOW))?;
    Ok(Envelope { caller, admitted_by, admitted_ms: number(headers, ADMITTED)?, hops })
}

pub(super) fn field<'a>(headers: &'a Headers, name: &'static str) -> Result<&'a str, EnvelopeError> {
    let found = headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str()).ok_or(EnvelopeError::Field(name))
}

fn number<T: std::str::FromStr>(headers: &Headers, name: &'static str) -> Result<T, EnvelopeError> {
    field(headers, name)?.parse().map_err(|_| EnvelopeError::Field(name))
}

/// A principal as text that says of which kind it is: a subject may be spelled like a workload's id.
fn written(principal: &Principal) -> String {
    match principal {
        Principal::Workload(id) => format!("workload {}", id.as_str()),
        Principal::Subject(Subject { text, scope }) => match scope {
            Some(namespace) => format!("subject {namespace} {text}"),
            None => format!("subject - {text}"),
        },
        Principal::Anonymous => "anonymous".to_owned(),
    }
}

fn principal_of(text: &str) -> Option<Principal> {
    match text.split_once(' ') {
        Some(("workload", id)) => id.parse().ok().map(Principal::Workload),
        Some(("subject", rest)) => {
            let (scope, text) = rest.split_once(' ')?;
            Some(Principal::Subject(subject(scope, text)?))
        }
        None if text == "anonymous" => Some(Principal::Anonymous),
        _ => None,
    }
}

fn subject(scope: &str, text: &str) -> Option<Subject> {
    let scope = match scope {
        "-" => None,
        namespace => Some(namespace.parse().ok()?),
    };
    Some(Subject { text: text.into(), scope })
}

/// What is left of a token that a topic keeps the claims `keep` of.
pub(super) fn kept(token: &Token, keep: &[String]) -> Option<Token> {
    KeptToken::of(token, keep).into_token()
}

/// What is kept of a token.
#[derive(Serialize, Deserialize)]
struct KeptToken {
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    claims: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pass: Vec<String>,
}

impl KeptToken {
    fn of(token: &Token, keep: &[String]) -> Self {
        let kept = |name: &&String| token.claims.get(name.as_str()).map(|value| ((*name).clone(), value.clone()));
        let claims: Map<String, Value> = keep.iter().filter_map(|name| kept(&name)).collect();
        let pass = token.pass.iter().filter(|name| claims.contains_key(&***name)).map(|name| name.to_string());
        Self {
            subject: token.subject.text.to_string(),
            scope: token.subject.scope.as_ref().map(ToString::to_string),
            pass: pass.collect(),
            claims,
        }
    }

    fn to_text(&self) -> String {
        // Texts and JSON values always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The token as far as it was kept. It was judged at admission and expires no more.
    fn into_token(self) -> Option<Token> {
        let audiences = match self.claims.get(AUDIENCES) {
            Some(Value::String(one)) => vec![one.as_str().into()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(Into::into).collect(),
            _ => Vec::new(),
        };
        Some(Token {
            subject: subject(self.scope.as_deref().unwrap_or("-"), &self.subject)?,
            audiences,
            presenter: self.claims.get(PRESENTER).and_then(Value::as_str).map(Into::into),
            claims: self.claims,
            pass: self.pass.into_iter().map(Into::into).collect(),
            expires: u64::MAX,
        })
    }
}
