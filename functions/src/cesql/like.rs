//! Patterns of `LIKE` (specification, section 3.4.3), prepared for matching.
//!
//! Separate because of its promise: matching goes through the text once per part, never back over what a `%` took.

/// A pattern, cut at each `%`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What comes before the first `%`, between two, after the last. At least one; without `%` exactly one.
    parts: Vec<Part>,
}

/// A part without `%`.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// With `_` in it, which is `None`.
    Holes(Vec<Option<char>>),
}

impl Pattern {
    /// `%` is any text, `_` any one character, `\%` and `\_` these characters themselves, everything else itself.
    pub(super) fn new(pattern: &str) -> Self {
        let mut parts = vec![Part::Text(String::new())];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let next = match (c, chars.peek().copied()) {
                ('%', _) => {
                    parts.push(Part::Text(String::new()));
                    continue;
                }
                ('_', _) => None,
                ('\\', Some(wildcard @ ('%' | '_'))) => {
                    chars.next();
                    Some(wildcard)
                }
                _ => Some(c),
            };
            if let Some(last) = parts.last_mut() {
                last.push(next);
            }
        }
        Self { parts }
    }

    /// An upper bound of the characters that [`Self::matches`] compares with a text of so many bytes.
    pub(super) fn cost(&self, text_bytes: usize) -> usize {
        // Only a part with holes that may stand anywhere is tried at each place.
        let between = self.parts.iter().skip(1).rev().skip(1);
        let slowest = between.map(Part::tries).max().unwrap_or(1);
        text_bytes.saturating_mul(slowest)
    }

    /// Whether the whole text is as the pattern says. Parts between two `%` are taken where they first occur: what a
    /// later place would leave over, the earlier one leaves over too.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (first, rest) = match self.parts.as_slice() {
            [] => return text.is_empty(),
            [only] => return only.at_start(text).is_some_and(str::is_empty),
            [first, rest @ ..] => (first, rest),
        };
        let Some((last, between)) = rest.split_last() else { return false };
        let Some(text) = first.at_start(text).and_then(|text| last.at_end(text)) else { return false };
        between.iter().try_fold(text, |text, part| part.anywhere(text)).is_some()
    }
}

impl Part {
    fn push(&mut self, next: Option<char>) {
        match (&mut *self, next) {
            (Self::Text(text), Some(c)) => text.push(c),
            (Self::Text(text), None) => *self = Self::Holes(text.chars().map(Some).chain([None]).collect()),
            (Self::Holes(holes), next) => holes.push(next),
        }
    }

    /// Comparisons for each place at which the part may begin.
    fn tries(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Holes(holes) => holes.len(),
        }
    }

    /// What follows the part that the text begins with.
    fn at_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(part) => text.strip_prefix(part.as_str()),
            Self::Holes(holes) => {
                let mut chars = text.chars();
                let fits = holes.iter().all(|hole| chars.next().is_some_and(|c| hole.is_none_or(|hole| hole == c)));
                fits.then_some(chars.as_str())
            }
        }
    }

    /// What precedes the part that the text ends with.
    fn at_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(part) => text.strip_suffix(part.as_str()),
            Self::Holes(holes) => {
                let mut chars = text.chars();
                let mut holes = holes.iter().rev();
                let fits = holes.all(|hole| chars.next_back().is_some_and(|c| hole.is_none_or(|hole| hole == c)));
                fits.then_some(chars.as_str())
            }
        }
    }

    /// What follows the first place at which the part stands.
    fn anywhere<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Self::Text(part) = self {
            // The standard library's search is linear in both texts.
            return text.find(part.as_str()).map(|at| &text[at + part.len()..]);
        }
        let mut chars = text.chars();
        loop {
            if let Some(rest) = self.at_start(chars.as_str()) {
                return Some(rest);
            }
            chars.next()?;
        }
    }
}
