//! Reads an Issuer's spec and notes every mistake in it.

use super::{Algorithm, FromHeader, InlineKeys, Issuer, IssuerSpec, KeySource};
use crate::identity_field::is_identity;
use crate::manifest::{Code, Field, Findings, Location, Metadata, Place, Section};

const KEYS: [&str; 8] =
    ["issuer", "audiences", "jwks", "jwksUri", "algorithms", "fromHeaders", "passClaims", "allowPrivate"];
const FROM_HEADER_KEYS: [&str; 2] = ["name", "prefix"];

/// Longest issuer, audience or header prefix in bytes. All of them are compared with each token.
const TEXT_BYTES: usize = 512;

/// Entries of `audiences`.
const AUDIENCES: usize = 64;

/// Entries of `fromHeaders`; each request is searched for all of them.
const FROM_HEADERS: usize = 8;

/// Entries of `passClaims`: they become headers of every call.
const PASS_CLAIMS: usize = 32;

/// Longest name of a claim.
const CLAIM_BYTES: usize = 256;

/// Longest `jwksUri`.
const URI_BYTES: usize = 8 * 1024;

/// Headers that cannot carry a token: they frame the message, or never reach the mesh as the client wrote them.
const NO_TOKEN_IN: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

impl Issuer {
    pub(crate) fn read(
        metadata: Metadata,
        location: Location,
        spec: &Field<'_>,
        out: &mut Findings<'_>,
    ) -> Option<Self> {
        let spec = spec.section(&KEYS, out);
        let issuer = spec.require("issuer", out).and_then(|field| read_issuer(&field, out));
        let audiences = spec.require("audiences", out).map(|field| read_audiences(&field, out)).unwrap_or_default();
        let allow_private = spec.get("allowPrivate").and_then(|field| field.boolean(out)).unwrap_or(false);
        let keys = read_keys(&spec, allow_private, out);
        let algorithms = match spec.get("algorithms") {
            Some(field) => read_algorithms(&field, out),
            None => Algorithm::DEFAULT.to_vec(),
        };
        let from_headers = match spec.get("fromHeaders") {
            Some(field) => read_from_headers(&field, out),
            None => vec![FromHeader::bearer()],
        };
        let pass_claims = spec.get("passClaims").map(|field| read_pass_claims(&field, out)).unwrap_or_default();
        let (issuer, issuer_place) = issuer?;
        let keys = keys?;
        let spec = IssuerSpec { issuer, audiences, keys, algorithms, from_headers, pass_claims, allow_private };
        Some(Self { metadata, spec, location, issuer_place })
    }
}

/// What `iss` must be. Policies name it as the first half of `<iss>/<sub>`, where a star means something else, and
/// functions read that in a header, where other characters cannot stand.
fn read_issuer(field: &Field<'_>, out: &mut Findings<'_>) -> Option<(String, Place)> {
    let issuer = field.text(out)?;
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'*';
    let problem = if issuer.is_empty() || issuer.len() > TEXT_BYTES {
        format!("must have 1 to {TEXT_BYTES} characters")
    } else if !issuer.bytes().all(legal) {
        "must be printable ASCII without spaces and stars, such as https://id.example".to_owned()
    } else if begins_with_ignoring_case(issuer, "spiffe:") {
        "must not begin with spiffe: such an identity is proven by a certificate, never by a token".to_owned()
    } else {
        return Some((issuer.to_owned(), field.place(out)));
    };
    field.report(Code::BadValue, format!("`{}` {problem}", field.path()), out);
    None
}

fn begins_with_ignoring_case(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(beginning))
}

fn read_audiences(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<String> {
    let entries = field.some(AUDIENCES, out);
    entries.iter().filter_map(|entry| read_text(entry, 1, out)).collect()
}

/// Text of `least` to 512 bytes without control characters.
fn read_text(field: &Field<'_>, least: usize, out: &mut Findings<'_>) -> Option<String> {
    let text = field.text(out)?;
    if (least..=TEXT_BYTES).contains(&text.len()) && !text.contains(char::is_control) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` must have {least} to {TEXT_BYTES} bytes without control characters", field.path());
    field.report(Code::BadValue, message, out);
    None
}

fn read_keys(spec: &Section<'_>, allow_private: bool, out: &mut Findings<'_>) -> Option<KeySource> {
    match (spec.get("jwks"), spec.get("jwksUri")) {
        (Some(field), None) => read_inline(&field, out).map(KeySource::Inline),
        (None, Some(field)) => read_uri(&field, allow_private, out).map(KeySource::Uri),
        (Some(_), Some(uri)) => {
            uri.report(Code::BadValue, "`jwks` and `jwksUri` are both given: keys come from one of them", out);
            None
        }
        (None, None) => {
            if !spec.is_absent() {
                spec.report(Code::MissingKey, "`jwks` or `jwksUri` is missing in `spec`", out);
            }
            None
        }
    }
}

/// A mapping, or the same as JSON text.
fn read_inline(field: &Field<'_>, out: &mut Findings<'_>) -> Option<InlineKeys> {
    let read = if field.is_mapping() {
        InlineKeys::from_json(field.json(out)?)
    } else {
        InlineKeys::from_text(field.text(out)?)
    };
    read.map_err(|error| field.report(Code::BadValue, format!("`{}`: {error}", field.path()), out)).ok()
}

fn read_uri(field: &Field<'_>, allow_private: bool, out: &mut Findings<'_>) -> Option<http::Uri> {
    let text = field.text(out)?;
    let problem = match text.parse::<http::Uri>() {
        _ if text.len() > URI_BYTES => "it is longer than 8 KiB",
        _ if text.contains('#') => "leave out the fragment",
        Err(_) => "this is not a URL",
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => "it must begin with https://",
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            "user and password do not belong into a manifest"
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => "the host is missing",
        Ok(uri) if uri.scheme_str() == Some("http") && !allow_private => {
            "keys that come over http can be replaced on their way; use https, or `allowPrivate: true` within one network"
        }
        Ok(uri) => return Some(uri),
    };
    field.report(Code::BadValue, format!("`spec.jwksUri` must be an https address: {problem}"), out);
    None
}

fn read_algorithms(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<Algorithm> {
    let choices = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let mut algorithms = Vec::new();
    for entry in field.some(Algorithm::ALL.len(), out) {
        let secret = entry.text(out).is_some_and(|text| begins_with_ignoring_case(text, "HS"));
        if secret {
            let message = format!(
                "`{}`: a shared secret proves nothing about who signed; use RS256, ES256 or EdDSA",
                entry.path()
            );
            entry.report(Code::BadValue, message, out);
        } else {
            algorithms.extend(entry.choice(&choices, out));
        }
    }
    algorithms
}

fn read_from_headers(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<FromHeader> {
    let mut headers: Vec<FromHeader> = Vec::new();
    for entry in field.some(FROM_HEADERS, out) {
        let section = entry.section(&FROM_HEADER_KEYS, out);
        let name = section.require("name", out).and_then(|name| read_header_name(&name, out));
        let prefix = match section.get("prefix") {
            Some(prefix) => read_text(&prefix, 0, out),
            None => Some(String::new()),
        };
        let (Some(name), Some(prefix)) = (name, prefix) else { continue };
        let header = FromHeader { name, prefix };
        if headers.contains(&header) {
            section.report(Code::BadValue, format!("`{}` is given twice", entry.path()), out);
        }
        headers.push(header);
    }
    headers
}

fn read_header_name(field: &Field<'_>, out: &mut Findings<'_>) -> Option<String> {
    let text = field.text(out)?;
    let name = text.parse::<http::HeaderName>().ok().filter(|_| !text.contains('_'));
    let problem = match &name {
        None => "is not the name of a header",
        Some(name) if is_identity(name.as_str()) => "is removed from what arrives, since anybody could write it",
        Some(name) if NO_TOKEN_IN.contains(&name.as_str()) => "cannot carry a token: it belongs to the connection",
        Some(name) => return Some(name.to_string()),
    };
    field.report(Code::BadValue, format!("`{}`: `{}` {problem}", field.path(), text.escape_debug()), out);
    None
}

/// Claims that functions get to see, each in a header of its own: so each has a name that a header can have, and no two
/// have the same.
fn read_pass_claims(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<String> {
    let claims = read_claims(field, PASS_CLAIMS, out);
    let header = |claim: &String| claim.to_ascii_lowercase().replace('_', "-");
    for (index, claim) in claims.iter().enumerate() {
        let name = header(claim);
        let problem = if name.parse::<http::HeaderName>().is_err() {
            "cannot be part of a header's name, where functions read it".to_owned()
        } else if let Some(before) = claims.iter().take(index).find(|before| header(before) == name) {
            format!("would be in the same header as `{}`", before.escape_debug())
        } else {
            continue;
        };
        field.report(Code::BadValue, format!("`{}`: `{}` {problem}", field.path(), claim.escape_debug()), out);
    }
    claims
}

/// Names of claims: at most `most`.
pub(crate) fn read_claims(field: &Field<'_>, most: usize, out: &mut Findings<'_>) -> Vec<String> {
    let mut claims = Vec::new();
    for entry in field.at_most(most, out) {
        let Some(claim) = entry.text(out) else { continue };
        if claim.is_empty() || claim.len() > CLAIM_BYTES || claim.contains(char::is_control) {
            let message = format!("`{}` must be the name of a claim of 1 to {CLAIM_BYTES} bytes", entry.path());
            entry.report(Code::BadValue, message, out);
        }
        claims.push(claim.to_owned());
    }
    claims
}
