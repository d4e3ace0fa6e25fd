//! A token's form: three parts, strictly encoded, with a header that says nothing we would have to obey (RFC 7515, 7519;
//! RFC 8725). Knows neither keys nor claims. Own code rather than a library's, because what libraries tolerate here, such
//! as members given twice, is what attacks on tokens are made of; the signatures themselves are aws-lc's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use weft_functions::issuer::Algorithm;

use super::json;
use super::refusal::Refusal;

/// Longest token in bytes (`threats.md` D-04). A longer one is refused before anything is done with it.
pub(super) const TOKEN_MAX: usize = 8 * 1024;

/// Longest key id in bytes (`threats.md` D-02).
pub(super) const KID_MAX: usize = 256;

/// Header members that would change what the other parts mean: extensions (RFC 7515, section 4.1.11), an unencoded
/// payload (RFC 7797), encryption, compression, a token within the token (RFC 7519, section 5.2).
const REFUSED: [&str; 5] = ["crit", "b64", "enc", "zip", "cty"];

/// What a token may say it is; saying nothing is fine, too. Anything else, such as `logout+jwt`, was signed by the same
/// keys for another purpose (RFC 8725, section 3.11).
const TYPES: [&str; 3] = ["jwt", "jose", "at+jwt"];

/// A well-formed token whose signature nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    /// What the header says it was signed with. The key decides whether that may be.
    pub(super) algorithm: Algorithm,
    /// Which key, if the header says so.
    pub(super) kid: Option<String>,
    /// What was signed: both first parts as they came.
    pub(super) signed: &'a [u8],
    /// The second part, decoded.
    pub(super) payload: Vec<u8>,
    /// The third part, decoded.
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > TOKEN_MAX {
            return Err(Refusal::invalid("the token is longer than 8 KiB"));
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::invalid("the token does not have three parts"));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = json::object(&header)
            .map_err(|error| Refusal::invalid(format!("the token's header cannot be read: {error}")))?;
        let algorithm = check(&header)?;
        Ok(Self { algorithm, kid: kid(&header)?, signed, payload, signature })
    }
}

/// Base64url without padding, white space or loose bits, so that one token has one spelling.
fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::invalid("a part of the token is not base64url"))
}

fn check(header: &Map<String, Value>) -> Result<Algorithm, Refusal> {
    if let Some(name) = REFUSED.into_iter().find(|name| header.contains_key(*name)) {
        return Err(Refusal::invalid(format!("the token's header has the member `{name}`, which is not taken")));
    }
    if !header.get("typ").is_none_or(is_access_token) {
        return Err(Refusal::invalid("the token's `typ` says that it is for something else"));
    }
    let named = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.as_str() == named)
        .ok_or_else(|| Refusal::invalid("the token's `alg` is not an algorithm that is taken"))
}

fn is_access_token(typ: &Value) -> bool {
    let Some(typ) = typ.as_str().map(str::to_ascii_lowercase) else { return false };
    TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_MAX => Ok(Some(kid.clone())),
        Some(_) => Err(Refusal::invalid("the token's `kid` is not a text of at most 256 bytes")),
    }
}
