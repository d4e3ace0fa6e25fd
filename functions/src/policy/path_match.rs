//! How a policy names paths: exactly, by prefix or suffix, or by a template whose operators stand for whole segments.

use std::fmt;
use std::str::FromStr;

use super::StringMatch;
use crate::value::ValueError;

/// Longest template, in segments.
const SEGMENTS: usize = 64;

/// `/a/b`, `/a/*`, `*.html`, `*`; or a template: `{*}` is one segment, `{**}` the rest of the path, be it empty, and comes
/// last (Istio, `operation.paths`; here `{**}` is refused elsewhere). Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Without operators.
    Text(StringMatch),
    /// With operators.
    Template {
        /// Each segment between two slashes; `None` is `{*}`.
        segments: Vec<Option<String>>,
        /// Whether `{**}` follows.
        rest: bool,
    },
}

impl PathMatch {
    /// Whether the canonical path is meant.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(text) => text.matches(path),
            Self::Template { segments, rest } => {
                let Some(mut left) = path.strip_prefix('/') else { return false };
                for (index, wanted) in segments.iter().enumerate() {
                    let (segment, after) = match left.split_once('/') {
                        Some((segment, after)) => (segment, Some(after)),
                        None => (left, None),
                    };
                    let same = wanted.as_ref().map_or(!segment.is_empty(), |wanted| wanted == segment);
                    if !same {
                        return false;
                    }
                    match after {
                        Some(after) => left = after,
                        // The path ends here: the template must too, but for a rest that may be empty.
                        None => return index + 1 == segments.len(),
                    }
                }
                *rest
            }
        }
    }
}

impl FromStr for PathMatch {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |why: &str| ValueError::new(format!("`{}` is not a path match: {why}", text.escape_debug()));
        if !text.contains(['{', '}']) {
            let matched: StringMatch = text.parse()?;
            let rooted = match &matched {
                StringMatch::Exact(path) | StringMatch::Prefix(path) => path.starts_with('/'),
                StringMatch::Suffix(_) | StringMatch::Present => true,
            };
            return rooted.then_some(Self::Text(matched)).ok_or_else(|| wrong("it never matches, paths begin with /"));
        }
        let Some(inner) = text.strip_prefix('/') else { return Err(wrong("it never matches, paths begin with /")) };
        let mut segments: Vec<Option<String>> = Vec::new();
        let mut parts = inner.split('/').peekable();
        while let Some(part) = parts.next() {
            match part {
                "{**}" if parts.peek().is_none() => return Ok(Self::Template { segments, rest: true }),
                "{**}" => return Err(wrong("{**} must come last")),
                "{*}" => segments.push(None),
                _ if part.contains(['{', '}', '*']) => {
                    return Err(wrong("{*}, {**} and a star stand for whole segments"));
                }
                "" if parts.peek().is_some() => return Err(wrong("it never matches, no path has an empty segment")),
                literal => segments.push(Some(literal.to_owned())),
            }
            if segments.len() > SEGMENTS {
                return Err(wrong("it has more than 64 segments"));
            }
        }
        Ok(Self::Template { segments, rest: false })
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Template { segments, rest } => {
                segments.iter().try_for_each(|segment| write!(f, "/{}", segment.as_deref().unwrap_or("{*}")))?;
                f.write_str(if *rest { "/{**}" } else { "" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |pattern: &str, path: &str, expect: bool| {
            let read: PathMatch = pattern.parse().unwrap();
            assert_eq!(read.matches(path), expect, "{pattern} {path}");
            assert_eq!(read.to_string(), pattern);
        };
        check("/a", "/a", true);
        check("/a", "/a/", false);
        check("/a/*", "/a/b/c", true);
        check("*.html", "/x.html", true);
        check("*", "/", true);
        check("/a/{*}", "/a/b", true);
        check("/a/{*}", "/a/", false);
        check("/a/{*}", "/a", false);
        check("/a/{*}", "/a/b/c", false);
        check("/a/{*}/c", "/a/b/c", true);
        check("/a/{*}/c", "/a/b/d", false);
        check("/a/{*}/c", "/a/b", false);
        check("/a/{*}/", "/a/b/", true);
        check("/a/{*}/", "/a/b", false);
        check("/{*}", "/", false);
        check("/{*}", "/a", true);
        check("/a/{**}", "/a", true);
        check("/a/{**}", "/a/", true);
        check("/a/{**}", "/a/b/c", true);
        check("/a/{**}", "/ab", false);
        check("/{**}", "/", true);
        check("/{*}/b/{**}", "/a/b", true);
        check("/{*}/b/{**}", "/a/b/c", true);
        check("/{*}/b/{**}", "/a/c", false);
        check("/a.b/{*}", "/axb/c", false);
    }

    #[test]
    fn what_would_never_match_or_mean_something_else() {
        for bad in [
            "", "a", "a*", "a/{*}", "/{**}/a", "/a{*}", "/{*}x", "/{x}", "/{", "/a/{*}/*", "/a//{*}", "/a/{**}/",
            "/a*b",
        ] {
            assert!(bad.parse::<PathMatch>().is_err(), "{bad}");
        }
        let long = format!("{}{{*}}", "/a".repeat(100));
        assert!(long.parse::<PathMatch>().is_err());
    }
}
