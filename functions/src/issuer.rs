//! The resource `Issuer`: whose tokens count, with which keys, and what of them is passed on.
//!
//! An Issuer vouches for calls to what is in its own namespace; one in `weft-system` for calls to the whole mesh.

mod algorithm;
mod jwks;
mod read;

use serde_json::{Map, Value, json};

pub use algorithm::Algorithm;
pub use jwks::{InlineKeys, JWKS_BYTES_MAX, JWKS_KEYS_MAX};
pub(crate) use read::read_claims;

use crate::manifest::{Location, Metadata, Place};

/// An issuer of tokens as a person wrote it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Name and namespace. In `weft-system` it counts in the whole mesh.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: IssuerSpec,
    /// Where its document begins.
    pub location: Location,
    /// Where it says what tokens call the issuer.
    pub(crate) issuer_place: Place,
}

/// The body of an [`Issuer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSpec {
    /// What a token's `iss` must be, character by character. 1 to 512 printable ASCII characters, no space and no star;
    /// does not begin with `spiffe:`, which certificates prove and tokens do not.
    pub issuer: String,
    /// One of these must be in a token's `aud`. 1 to 64.
    pub audiences: Vec<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// What a signature may be made with. Default RS256, ES256, EdDSA; a key decides which of them it is for, a token
    /// never does.
    pub algorithms: Vec<Algorithm>,
    /// Where a request carries a token. Default `Authorization: Bearer TOKEN`.
    pub from_headers: Vec<FromHeader>,
    /// Claims that functions get to see; default none.
    pub pass_claims: Vec<String>,
    /// Whether `jwksUri` may lead to a private address; default no.
    pub allow_private: bool,
}

/// Where an issuer's public keys are: `jwks` or `jwksUri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `jwks`: in the manifest itself.
    Inline(InlineKeys),
    /// `jwksUri`: an `https` address, or an `http` one with `allowPrivate: true`. Has no user information
    /// and no fragment.
    Uri(http::Uri),
}

/// A header that carries a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromHeader {
    /// Its name, lower case.
    pub name: String,
    /// What stands before the token, such as `Bearer `; default nothing.
    pub prefix: String,
}

impl FromHeader {
    /// `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
    pub fn bearer() -> Self {
        Self { name: "authorization".to_owned(), prefix: "Bearer ".to_owned() }
    }
}

impl IssuerSpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        let mut spec = Map::new();
        spec.insert("issuer".into(), self.issuer.as_str().into());
        spec.insert("audiences".into(), self.audiences.as_slice().into());
        match &self.keys {
            KeySource::Inline(keys) => spec.insert("jwks".into(), keys.json().clone()),
            KeySource::Uri(uri) => spec.insert("jwksUri".into(), uri.to_string().into()),
        };
        let algorithms = self.algorithms.iter().map(|algorithm| algorithm.as_str());
        spec.insert("algorithms".into(), Value::from_iter(algorithms));
        let headers = self.from_headers.iter().map(|from| json!({ "name": from.name, "prefix": from.prefix }));
        spec.insert("fromHeaders".into(), Value::from_iter(headers));
        spec.insert("passClaims".into(), self.pass_claims.as_slice().into());
        spec.insert("allowPrivate".into(), self.allow_private.into());
        Value::Object(spec)
    }
}
