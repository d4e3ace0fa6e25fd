//! One field of a rule: what it looks at, and which values it wants there or not. Three-valued, because a rule may want
//! what is not known yet; and where it cannot be judged at all (a header that is not text, a claim of the wrong type), the
//! side that refuses wins: such a value matches in a DENY and does not match in an ALLOW.

use http::HeaderValue;
use http::header::GetAll;
use serde_json::Value;

use super::field::{Field, Seen};
use super::list::List;
use super::question::Question;

/// Characters of a value that an explanation shows.
const SHOWN_CHARS: usize = 200;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    /// It depends on what is not known.
    Maybe,
    Yes,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What comes of a value that cannot be judged, and of several values that are not of one mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// In an ALLOW: it does not match, and every value must.
    Fails,
    /// In a DENY and an AUDIT: it matches, and one value is enough.
    Matches,
}

/// One field and what is wanted of it.
#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) field: Field,
    /// One of these; empty: anything.
    pub(super) any: List,
    /// None of these.
    none: List,
    /// The keys of the two lists in a manifest.
    keys: (Box<str>, Box<str>),
}

/// How a value stands to the two lists.
enum Standing {
    Unknown,
    /// It cannot be judged, so this is what comes of it.
    Forced(Truth),
    Judged {
        wanted: bool,
        unwanted: bool,
    },
}

impl Predicate {
    pub(super) fn new(field: Field, any: List, none: List, keys: (Box<str>, Box<str>)) -> Self {
        Self { field, any, none, keys }
    }

    pub(super) fn judge(&self, question: &Question<'_>, doubt: Doubt) -> Truth {
        match self.standing(question, doubt) {
            Standing::Unknown => Truth::Maybe,
            Standing::Forced(truth) => truth,
            Standing::Judged { wanted, unwanted } => (wanted && !unwanted).into(),
        }
    }

    fn standing(&self, question: &Question<'_>, doubt: Doubt) -> Standing {
        match self.field.read(question) {
            Seen::Unknown => Standing::Unknown,
            Seen::Malformed => Standing::Forced(doubt.truth()),
            Seen::Absent => Standing::Judged { wanted: self.any.is_empty(), unwanted: false },
            // Whoever leaves out an identity must not gain by it what a list of exceptions takes from it.
            Seen::Nobody if self.any.is_empty() => Standing::Forced(doubt.truth()),
            Seen::Nobody => Standing::Judged { wanted: false, unwanted: false },
            Seen::Text(text) => self.lists(|list| list.holds(text)),
            Seen::Address(address) => self.lists(|list| list.contains(address)),
            Seen::Claims(all) => {
                let texts = || all.iter().filter_map(Value::as_str);
                self.lists(|list| texts().any(|text| list.holds(text)))
            }
            Seen::Audiences(all) => self.lists(|list| all.iter().any(|audience| list.holds(audience))),
            Seen::Headers(values) => self.headers(&values, doubt),
        }
    }

    fn lists(&self, holds: impl Fn(&List) -> bool) -> Standing {
        Standing::Judged {
            wanted: self.any.is_empty() || holds(&self.any),
            unwanted: !self.none.is_empty() && holds(&self.none),
        }
    }

    /// A header may be sent several times, or once with commas (RFC 9110, section 5.3), and its reader may take any of
    /// the members (`threats.md` E-03). So an ALLOW wants all of them to be listed, a DENY is content with one.
    fn headers(&self, values: &GetAll<'_, HeaderValue>, doubt: Doubt) -> Standing {
        if !is_text(values) {
            return Standing::Forced(doubt.truth());
        }
        let texts = || values.iter().filter_map(|value| value.to_str().ok());
        // D16: of several values the first is looked at.
        #[cfg(weft_defects)]
        let texts = || texts().take(if crate::path::seeded::is("D16") { 1 } else { usize::MAX });
        let all_in = |list: &List| texts().all(|text| list.names(text) || members(text).all(|one| list.holds(one)));
        let some_in = |list: &List| texts().any(|text| list.holds(text) || members(text).any(|one| list.holds(one)));
        let (wanted, unwanted) = match doubt {
            Doubt::Fails => (all_in(&self.any), some_in(&self.none)),
            Doubt::Matches => (some_in(&self.any), all_in(&self.none)),
        };
        Standing::Judged { wanted: self.any.is_empty() || wanted, unwanted: !self.none.is_empty() && unwanted }
    }

    /// Why it does not hold, in words.
    pub(super) fn why(&self, question: &Question<'_>, doubt: Doubt) -> String {
        let Self { field, keys: (any, none), .. } = self;
        let key = if self.any.is_empty() { none } else { any };
        match self.standing(question, doubt) {
            Standing::Unknown => format!("{field} is not known, and {key} depends on it"),
            Standing::Forced(_) => match self.field.read(question) {
                Seen::Nobody => format!("there is no {field}, so {none} cannot be told"),
                _ => format!("{field} is not text that can be compared, so {key} never matches in an ALLOW"),
            },
            Standing::Judged { wanted: false, .. } => match self.shown(question) {
                Some(value) => format!("{field} {value} is not in {any}"),
                None => format!("there is no {field}, and {any} wants one"),
            },
            Standing::Judged { .. } => {
                format!("{field} {} is in {none}", self.shown(question).unwrap_or_default())
            }
        }
    }

    /// The value as people read it, cut to what they can read.
    fn shown(&self, question: &Question<'_>) -> Option<String> {
        let mut shown = match self.field.read(question) {
            Seen::Text(text) => text.to_owned(),
            Seen::Address(address) => address.to_string(),
            Seen::Claims(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            Seen::Audiences(all) => all.join(", "),
            Seen::Headers(values) => {
                values.iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
            }
            Seen::Absent | Seen::Nobody | Seen::Malformed | Seen::Unknown => return None,
        };
        if let Some((cut, _)) = shown.char_indices().nth(SHOWN_CHARS) {
            shown.truncate(cut);
            shown.push('…');
        }
        Some(shown)
    }
}

impl Doubt {
    fn truth(self) -> Truth {
        (self == Self::Matches).into()
    }
}

fn is_text(values: &GetAll<'_, HeaderValue>) -> bool {
    values.iter().all(|value| value.to_str().is_ok())
}

/// The members of a header's value that is a list.
fn members(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}
