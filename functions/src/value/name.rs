//! Names of resources: one DNS label, because a function's name is also its host name.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::ValueError;

/// Longest DNS label (RFC 1035, section 2.3.4).
const LABEL_BYTES: usize = 63;

/// A name of a resource or namespace: 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter and ending with a letter
/// or digit (RFC 1035 label, lower case). Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace of a resource that names none: `default`.
    pub fn default_namespace() -> Self {
        Self(Arc::from("default"))
    }
}

impl FromStr for Name {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let bytes = text.as_bytes();
        let well_formed = bytes.len() <= LABEL_BYTES
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last().is_some_and(|last| *last != b'-')
            && bytes.iter().copied().all(legal);
        if well_formed {
            return Ok(Self(Arc::from(text)));
        }
        Err(ValueError::new(format!(
            "`{}` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
            text.escape_debug()
        )))
    }
}

impl TryFrom<&str> for Name {
    type Error = ValueError;

    fn try_from(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A name in its namespace, written `ns/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespaced {
    /// The namespace.
    pub namespace: Name,
    /// The name within the namespace.
    pub name: Name,
}

impl Namespaced {
    /// Puts `name` into `namespace`.
    pub fn new(namespace: Name, name: Name) -> Self {
        Self { namespace, name }
    }

    /// Reads `name`, which then lives in `home`, or `ns/name`.
    ///
    /// # Errors
    /// When either part is not a [`Name`].
    pub fn parse_in(home: &Name, text: &str) -> Result<Self, ValueError> {
        match text.split_once('/') {
            Some((namespace, name)) => Ok(Self::new(namespace.parse()?, name.parse()?)),
            None => Ok(Self::new(home.clone(), text.parse()?)),
        }
    }

    /// How a resource of `home` refers to it: `name` within its own namespace, else `ns/name`.
    pub fn relative_to(&self, home: &Name) -> String {
        if self.namespace == *home { self.name.to_string() } else { self.to_string() }
    }
}

impl FromStr for Namespaced {
    type Err = ValueError;

    /// Reads `ns/name`; a bare `name` lives in `default`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::parse_in(&Name::default_namespace(), text)
    }
}

impl fmt::Display for Namespaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Serialize for Namespaced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
