//! How a policy names many things with one string: exact, `abc*`, `*abc`, `*`.

use std::fmt;
use std::str::FromStr;

use crate::value::ValueError;

/// Istio's string match: `abc` exactly, `abc*` a prefix, `*abc` a suffix, `*` anything not empty. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// The whole text.
    Exact(String),
    /// The text begins so.
    Prefix(String),
    /// The text ends so.
    Suffix(String),
    /// Any text but the empty one.
    Present,
}

impl StringMatch {
    /// The part that is compared; empty for `*`.
    pub fn literal(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::Present => "",
        }
    }

    /// Whether everything that `other` matches is matched by this.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, _) => true,
            (_, Self::Exact(text)) => self.matches(text),
            (Self::Prefix(outer), Self::Prefix(inner)) => inner.starts_with(outer),
            (Self::Suffix(outer), Self::Suffix(inner)) => inner.ends_with(outer),
            _ => false,
        }
    }

    /// Whether some text is matched by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(text), any) | (any, Self::Exact(text)) => any.matches(text),
            (Self::Prefix(a), Self::Prefix(b)) => a.starts_with(b) || b.starts_with(a),
            (Self::Suffix(a), Self::Suffix(b)) => a.ends_with(b) || b.ends_with(a),
            _ => true,
        }
    }

    /// Whether `text` is meant.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(whole) => text == whole,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Present => !text.is_empty(),
        }
    }
}

impl FromStr for StringMatch {
    type Err = ValueError;

    /// A star elsewhere than at one end is refused: Istio would take it literally, which nobody means.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let pattern = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Present,
            (Some(suffix), None) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            _ => Self::Exact(text.to_owned()),
        };
        let literal = pattern.literal();
        if pattern == Self::Present {
            return Ok(pattern);
        }
        if literal.is_empty() || literal.contains('*') {
            return Err(ValueError::new(format!(
                "`{}` is not a match: expected text, abc*, *abc or *",
                text.escape_debug()
            )));
        }
        Ok(pattern)
    }
}

impl fmt::Display for StringMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Present => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        fn check(pattern: &str, text: &str, expect: bool) {
            let parsed: StringMatch = pattern.parse().unwrap();
            assert_eq!(parsed.matches(text), expect, "{pattern} {text}");
            assert_eq!(parsed.to_string(), pattern);
        }
        check("abc", "abc", true);
        check("abc", "abcd", false);
        check("abc", "ABC", false);
        check("abc*", "abcd", true);
        check("abc*", "abc", true);
        check("abc*", "xabc", false);
        check("*abc", "xabc", true);
        check("*abc", "abcx", false);
        check("*", "x", true);
        check("*", "", false);
        for bad in ["", "**", "a*b", "*a*"] {
            assert!(bad.parse::<StringMatch>().is_err(), "{bad}");
        }
    }

    #[test]
    fn relations() {
        fn check(a: &str, b: &str, covers: bool, covered: bool, overlaps: bool) {
            let (left, right): (StringMatch, StringMatch) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((left.covers(&right), right.covers(&left)), (covers, covered), "{a} {b}");
            assert_eq!((left.overlaps(&right), right.overlaps(&left)), (overlaps, overlaps), "{a} {b}");
        }
        check("a", "a", true, true, true);
        check("a", "b", false, false, false);
        check("*", "a", true, false, true);
        check("*", "a*", true, false, true);
        check("*", "*", true, true, true);
        check("a*", "ab", true, false, true);
        check("a*", "b", false, false, false);
        check("a*", "ab*", true, false, true);
        check("a*", "b*", false, false, false);
        check("*b", "*ab", true, false, true);
        check("*b", "*c", false, false, false);
        check("*b", "ab", true, false, true);
        check("a*", "*b", false, false, true);
    }
}
