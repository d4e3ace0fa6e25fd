//! How a policy names paths: exactly, by prefix or suffix, or by a template whose operators stand for whole segments.

use std::fmt;
use std::str::FromStr;

use super::StringMatch;
use crate::value::{ValueError, misspelled};

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
    /// Whether it matches every path there is.
    pub fn covers_all(&self) -> bool {
        match self {
            Self::Text(StringMatch::Present) => true,
            Self::Text(StringMatch::Prefix(prefix)) => prefix == "/",
            Self::Text(_) => false,
            Self::Template { segments, rest } => segments.is_empty() && *rest,
        }
    }

    /// Whether every path that `other` matches is matched by this, where that is easily seen.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            _ if self.covers_all() => true,
            (outer, Self::Text(StringMatch::Exact(path))) => outer.matches(path),
            (Self::Text(outer), Self::Text(inner)) => outer.covers(inner),
            (Self::Text(StringMatch::Prefix(prefix)), Self::Template { .. }) => other.beginning().starts_with(prefix),
            (Self::Template { segments, rest: true }, Self::Text(StringMatch::Prefix(prefix))) => {
                let mut whole: Vec<&str> = prefix.split('/').skip(1).collect();
                whole.pop();
                let same =
                    |(wanted, found): (&Option<String>, &&str)| wanted.as_ref().is_none_or(|wanted| wanted == found);
                segments.len() <= whole.len() && segments.iter().zip(&whole).all(same)
            }
            (Self::Template { segments: outer, rest: any }, Self::Template { segments: inner, rest }) => {
                // An operator stands for a segment that is not empty; the last one of `/a/` is.
                let same = |(outer, inner): (&Option<String>, &Option<String>)| match outer {
                    None => inner.as_deref() != Some(""),
                    outer => outer == inner,
                };
                let long_enough = if *any { outer.len() <= inner.len() } else { outer.len() == inner.len() && !rest };
                long_enough && outer.iter().zip(inner).all(same)
            }
            _ => false,
        }
    }

    /// What every path that a template matches begins with.
    fn beginning(&self) -> String {
        let Self::Template { segments, .. } = self else { return String::new() };
        let mut text = String::new();
        for segment in segments {
            text.push('/');
            match segment {
                Some(literal) => text.push_str(literal),
                None => return text,
            }
        }
        text
    }

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
            if !rooted {
                return Err(wrong("it never matches, paths begin with /"));
            }
            return match misspelled(matched.literal()) {
                Some(why) => Err(wrong(&format!("it never matches, {why}"))),
                None => Ok(Self::Text(matched)),
            };
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
                literal => match misspelled(&format!("/{literal}")) {
                    Some(why) => return Err(wrong(&format!("it never matches, {why}"))),
                    None => segments.push(Some(literal.to_owned())),
                },
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
    fn relations() {
        let check = |outer: &str, inner: &str, expect: bool| {
            let read = |text: &str| text.parse::<PathMatch>().unwrap();
            assert_eq!(read(outer).covers(&read(inner)), expect, "{outer} {inner}");
        };
        for all in ["*", "/*", "/{**}"] {
            for any in ["*", "/a", "/a*", "*a", "/{*}", "/a/{**}"] {
                check(all, any, true);
            }
        }
        check("/a", "/a", true);
        check("/a", "/b", false);
        check("/a*", "/a/b", true);
        check("/a*", "/a/{*}", true);
        check("/a/*", "/a/{*}", true);
        check("/a/*", "/a/{**}", false);
        check("/a*", "/a/{**}", true);
        check("/b*", "/a/{*}", false);
        check("/a/{*}", "/a/b", true);
        check("/a/{*}", "/a/b/c", false);
        check("/a/{*}", "/a/*", false);
        check("/a/{**}", "/a/*", true);
        check("/a/{**}", "/a*", false);
        check("/{*}/{**}", "/a/*", true);
        check("/{*}/b/{**}", "/a/*", false);
        check("/a/{**}", "/a/b/{*}", true);
        check("/a/{*}", "/a/b", true);
        check("/{*}/{*}", "/a/{*}", true);
        check("/a/{*}", "/{*}/{*}", false);
        check("/{*}/{*}", "/{*}/", false);
        check("/{*}", "/{*}/{**}", false);
        check("*.html", "/a.html", true);
        check("*.html", "/{*}", false);
    }

    #[test]
    fn what_would_never_match_or_mean_something_else() {
        for bad in [
            "", "a", "a*", "a/{*}", "/{**}/a", "/a{*}", "/{*}x", "/{x}", "/{", "/a/{*}/*", "/a//{*}", "/a/{**}/",
            "/a*b", "/a?b", "/a/../b", "/a//b", "/%7Ea", "/{*}/..", "/{*}/%7E", "/a b",
        ] {
            assert!(bad.parse::<PathMatch>().is_err(), "{bad}");
        }
        let long = format!("{}{{*}}", "/a".repeat(100));
        assert!(long.parse::<PathMatch>().is_err());
    }
}
