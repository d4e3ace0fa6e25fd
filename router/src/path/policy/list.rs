//! The values that a field of a rule names, arranged to be looked up: exact ones by binary search, patterns one by one.

use std::net::IpAddr;
use std::sync::Arc;

use weft_functions::policy::{PathMatch, StringMatch};
use weft_functions::value::IpBlock;

/// Values of which one may match.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Sorted.
    exact: Box<[Arc<str>]>,
    patterns: Box<[Pattern]>,
    blocks: Box<[IpBlock]>,
    /// Case does not count; the values are lower case then.
    folded: bool,
}

/// A value with an operator.
#[derive(Debug)]
pub(super) enum Pattern {
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    /// Anything but nothing.
    Present,
    Template {
        path: PathMatch,
        /// What every path that it matches begins with.
        prefix: Arc<str>,
    },
}

impl List {
    /// Texts as they are.
    pub(super) fn texts(matches: &[StringMatch]) -> Self {
        Self::sorted(matches.iter().map(Ok), false)
    }

    /// Hosts, whose case does not count.
    pub(super) fn hosts(matches: &[StringMatch]) -> Self {
        Self::sorted(matches.iter().map(Ok), true)
    }

    /// Paths.
    pub(super) fn paths(matches: &[PathMatch]) -> Self {
        let split = matches.iter().map(|path| match path {
            PathMatch::Text(text) => Ok(text),
            template @ PathMatch::Template { .. } => Err(template),
        });
        Self::sorted(split, false)
    }

    /// Addresses.
    pub(super) fn blocks(blocks: &[IpBlock]) -> Self {
        Self { blocks: blocks.into(), ..Self::default() }
    }

    fn sorted<'a>(matches: impl Iterator<Item = Result<&'a StringMatch, &'a PathMatch>>, folded: bool) -> Self {
        let text = |text: &str| if folded { text.to_ascii_lowercase().into() } else { Arc::from(text) };
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for entry in matches {
            match entry {
                Ok(StringMatch::Exact(whole)) => exact.push(text(whole)),
                Ok(StringMatch::Prefix(prefix)) => patterns.push(Pattern::Prefix(text(prefix))),
                Ok(StringMatch::Suffix(suffix)) => patterns.push(Pattern::Suffix(text(suffix))),
                Ok(StringMatch::Present) => patterns.push(Pattern::Present),
                Err(path) => {
                    let prefix = literal_prefix(path).into();
                    patterns.push(Pattern::Template { path: path.clone(), prefix });
                }
            }
        }
        exact.sort_unstable();
        Self { exact: exact.into(), patterns: patterns.into(), blocks: Box::default(), folded }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty() && self.blocks.is_empty()
    }

    /// Whether one of the values is meant by `text`.
    pub(super) fn holds(&self, text: &str) -> bool {
        if self.folded && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.holds_as_is(&text.to_ascii_lowercase());
        }
        self.holds_as_is(text)
    }

    fn holds_as_is(&self, text: &str) -> bool {
        self.exact.binary_search_by(|exact| (**exact).cmp(text)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether one of the values means all of `text` and leaves nothing open: by itself, or by being anything at all.
    pub(super) fn names(&self, text: &str) -> bool {
        self.exact.binary_search_by(|exact| (**exact).cmp(text)).is_ok()
            || !text.is_empty() && self.patterns.iter().any(|pattern| matches!(pattern, Pattern::Present))
    }

    /// Whether the address is in one of the blocks.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    pub(super) fn exact(&self) -> &[Arc<str>] {
        &self.exact
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Present => !text.is_empty(),
            Self::Template { path, .. } => path.matches(text),
        }
    }
}

/// The segments before the first operator. `/a/{**}` matches `/a` too, so its slash is not part of them.
fn literal_prefix(path: &PathMatch) -> String {
    let PathMatch::Template { segments, .. } = path else { return "/".to_owned() };
    let literal: String = segments.iter().map_while(Option::as_ref).map(|segment| format!("/{segment}")).collect();
    let cut = segments.iter().any(Option::is_none);
    if cut || literal.is_empty() { literal + "/" } else { literal }
}
