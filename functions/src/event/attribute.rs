//! What an attribute may be called and what it may say (CloudEvents 1.0.2, sections "Naming conventions" and "Type
//! system").

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::EventError;
use super::text::Text;

/// Longest name that is accepted. The specification recommends 20 without forbidding more.
const NAME_BYTES: usize = 64;

/// The attributes that the specification defines, in the order in which an event lists them.
const CORE: [&str; 8] = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// CloudEvents' "Expiry Time" extension: from when on an event is of no use.
pub(super) const EXPIRY_TIME: &str = "expirytime";

/// An extension of ours: until when an event is to be held back.
pub(super) const NOT_BEFORE: &str = "weftdelivernotbefore";

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Text,
    pub(super) value: Text,
}

/// Whether an attribute of an event can have this name: 1 to 64 of `a-z` and `0-9`, and not `data`.
pub fn is_attribute_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name != "data"
}

pub(super) fn is_core(name: &str) -> bool {
    CORE.contains(&name)
}

/// Sorts attributes into their stable order.
pub(super) fn rank(attribute: &Attribute) -> (usize, &str) {
    let name = attribute.name.as_str();
    let core = CORE.iter().position(|core| *core == name);
    (core.unwrap_or(CORE.len()), if core.is_some() { "" } else { name })
}

/// Checks name and value of one attribute.
pub(super) fn check(attribute: &Attribute) -> Result<(), EventError> {
    let (name, value) = (attribute.name.as_str(), attribute.value.as_str());
    if !is_attribute_name(name) {
        let message = format!("not a name: expected 1 to {NAME_BYTES} of a-z and 0-9, and not `data`");
        return Err(EventError::attribute(name, message));
    }
    if let Some(bad) = value.chars().find(|c| is_disallowed(*c)) {
        return Err(EventError::attribute(name, format!("the character U+{:04X} is not allowed", u32::from(bad))));
    }
    let verdict = match name {
        "specversion" if value != super::SPEC_VERSION => Err("must be exactly 1.0"),
        "id" | "type" if is_blank(value) => Err("must not be blank"),
        "subject" if value.is_empty() => Err("must not be empty: leave it out"),
        "source" => check_source(value),
        "dataschema" => check_dataschema(value),
        "time" | EXPIRY_TIME | NOT_BEFORE => check_time(value),
        "datacontenttype" => check_media_type(value),
        _ => Ok(()),
    };
    verdict.map_err(|message| EventError::attribute(name, message))
}

/// Control characters (U+0000 to U+001F, U+007F to U+009F) and Unicode's noncharacters.
fn is_disallowed(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

fn is_blank(value: &str) -> bool {
    value.chars().all(char::is_whitespace)
}

fn check_source(value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("must not be empty");
    }
    if is_uri_reference(value) { Ok(()) } else { Err("must be a URI reference (RFC 3986), percent-encoded") }
}

fn check_dataschema(value: &str) -> Result<(), &'static str> {
    let scheme = value.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if scheme && is_uri_reference(value) { Ok(()) } else { Err("must be an absolute URI (RFC 3986)") }
}

/// The characters of RFC 3986 with whole percent triplets. The parts are not taken apart: what a source means is its
/// producer's business.
pub(crate) fn is_uri_reference(value: &str) -> bool {
    let bytes = value.as_bytes();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        byte => legal(*byte),
    })
}

/// A checked time as Unix milliseconds; what lies before 1970 counts as 1970.
pub(super) fn unix_ms(value: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(value, &Rfc3339).ok()?;
    Some(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

/// RFC 3339. A leap second is accepted where RFC 3339 has one: second 60 of the last minute, in UTC, of a month.
fn check_time(value: &str) -> Result<(), &'static str> {
    match OffsetDateTime::parse(value, &Rfc3339) {
        Ok(_) => Ok(()),
        Err(_) => Err("must be a time as in RFC 3339: 2018-04-05T17:31:00Z"),
    }
}

/// RFC 2045: `type/subtype`, then parameters, in printable ASCII.
fn check_media_type(value: &str) -> Result<(), &'static str> {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = value.split(';').next().unwrap_or_default();
    let well_formed = essence.trim_end().split_once('/').is_some_and(|(ty, subtype)| token(ty) && token(subtype));
    // Spaces at the ends would not survive as the value of a Content-Type header.
    if !well_formed || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || value.ends_with(' ') {
        return Err("must be a media type such as application/json; charset=utf-8");
    }
    // As the Content-Type of binary mode it would announce another mode.
    if super::http::is_cloudevents_type(essence) {
        return Err("an event whose data is an event cannot be carried in binary mode");
    }
    Ok(())
}
