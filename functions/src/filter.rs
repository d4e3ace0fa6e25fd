//! Filters of a trigger: the dialects of the CloudEvents Subscriptions API (section 3.2.4), with its expression language
//! under the name `cesql`.
//!
//! Pure and separate from delivery, so that `explain` and the live path ask the same question.

mod index;
mod read;

use std::fmt;

use serde_json::{Map, Value};

pub use self::index::FilterIndex;
use crate::cesql::{Expression, Refusal};
use crate::event::Event;

/// One filter expression.
///
/// An attribute that an event lacks is not equal to the empty string: `Exact`, `Prefix` and `Suffix` fail on it, and a
/// `Not` around them passes. Comparisons are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every listed attribute equals its value. Not empty.
    Exact(Vec<Condition>),
    /// Every listed attribute begins with its value. Not empty.
    Prefix(Vec<Condition>),
    /// Every listed attribute ends with its value. Not empty.
    Suffix(Vec<Condition>),
    /// Every filter passes. Not empty.
    All(Vec<Filter>),
    /// At least one filter passes. Not empty.
    Any(Vec<Filter>),
    /// The filter fails.
    Not(Box<Filter>),
    /// The expression is true for the event. It is not when its evaluation ends in an error, and a `Not` around it then
    /// passes, as around any filter that fails.
    Cesql(Expression),
}

/// An attribute and the text it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Name of a context attribute, extensions and `specversion` included.
    pub attribute: String,
    /// What it is compared with; not empty.
    pub value: String,
}

/// The filters of a trigger: all must pass, and without any everything passes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(pub Vec<Filter>);

/// What filters say about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterVerdict {
    /// The event is delivered.
    Pass,
    /// The event is not delivered.
    Fail {
        /// The first filter that failed, in words: `prefix type=com.x`. Of `cesql` the term that decided, and the error
        /// if there was one: `cesql amount > 10: missingAttribute: the event has no attribute amount`.
        first_failing: String,
    },
}

impl FilterVerdict {
    /// Whether the event is delivered.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Pass)
    }
}

impl Filters {
    /// Whether the event is delivered, without words.
    pub fn pass(&self, event: &Event) -> bool {
        self.0.iter().all(|filter| filter.passes(event))
    }

    /// Judges one event. The words of the verdict are built only when it fails.
    pub fn evaluate(&self, event: &Event) -> FilterVerdict {
        match self.0.iter().find(|filter| !filter.passes(event)) {
            None => FilterVerdict::Pass,
            Some(filter) => FilterVerdict::Fail { first_failing: filter.first_failing(event).to_string() },
        }
    }

    /// The filters as JSON; reads back as the same filters.
    pub(crate) fn to_json(&self) -> Value {
        Value::from_iter(self.0.iter().map(Filter::to_json))
    }
}

impl Filter {
    /// Whether the event passes. Stops at the first part that decides.
    pub fn passes(&self, event: &Event) -> bool {
        match self {
            Self::Exact(conditions) | Self::Prefix(conditions) | Self::Suffix(conditions) => {
                conditions.iter().all(|condition| self.holds(condition, event))
            }
            Self::All(filters) => filters.iter().all(|filter| filter.passes(event)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(event)),
            Self::Not(filter) => !filter.passes(event),
            Self::Cesql(expression) => expression.holds(event),
        }
    }

    /// Whether one condition of this dialect holds.
    fn holds(&self, condition: &Condition, event: &Event) -> bool {
        let Some(actual) = event.attribute(&condition.attribute) else { return false };
        match self {
            Self::Exact(_) => actual == condition.value,
            Self::Prefix(_) => actual.starts_with(&condition.value),
            Self::Suffix(_) => actual.ends_with(&condition.value),
            Self::All(_) | Self::Any(_) | Self::Not(_) | Self::Cesql(_) => false,
        }
    }

    /// The smallest part that explains why `event` fails `self`: the first failing condition or term, within `all` the
    /// first failing filter, and `any` and `not` as they stand. With `any` goes the first error inside.
    fn first_failing<'a>(&'a self, event: &'a Event) -> Failing<'a> {
        match self {
            Self::Exact(conditions) | Self::Prefix(conditions) | Self::Suffix(conditions) => {
                match conditions.iter().find(|condition| !self.holds(condition, event)) {
                    Some(condition) => Failing::Condition(self, condition),
                    None => Failing::Filter(self),
                }
            }
            Self::All(filters) => match filters.iter().find(|filter| !filter.passes(event)) {
                Some(filter) => filter.first_failing(event),
                None => Failing::Filter(self),
            },
            Self::Any(filters) => {
                let mut inner = filters.iter().map(|filter| filter.first_failing(event));
                inner.find_map(Failing::error).map_or(Failing::Filter(self), |error| Failing::Because(self, error))
            }
            Self::Not(_) => Failing::Filter(self),
            Self::Cesql(expression) => expression.refusal(event).map_or(Failing::Filter(self), Failing::Term),
        }
    }

    /// The dialect's key in a manifest.
    pub const fn dialect(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Prefix(_) => "prefix",
            Self::Suffix(_) => "suffix",
            Self::All(_) => "all",
            Self::Any(_) => "any",
            Self::Not(_) => "not",
            Self::Cesql(_) => "cesql",
        }
    }

    fn to_json(&self) -> Value {
        let body = match self {
            Self::Exact(conditions) | Self::Prefix(conditions) | Self::Suffix(conditions) => {
                let pairs = conditions.iter().map(|c| (c.attribute.clone(), Value::from(c.value.as_str())));
                Value::Object(pairs.collect())
            }
            Self::All(filters) | Self::Any(filters) => Value::from_iter(filters.iter().map(Self::to_json)),
            Self::Not(filter) => filter.to_json(),
            Self::Cesql(expression) => expression.as_str().into(),
        };
        Value::Object(Map::from_iter([(self.dialect().to_owned(), body)]))
    }
}

/// `exact type=a subject=b`, `any[prefix type=a, not exact source=/b]`, `cesql amount > 10`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dialect())?;
        match self {
            Self::Exact(conditions) | Self::Prefix(conditions) | Self::Suffix(conditions) => {
                conditions.iter().try_for_each(|c| write!(f, " {}={}", c.attribute, c.value))
            }
            Self::All(filters) | Self::Any(filters) => {
                for (index, filter) in filters.iter().enumerate() {
                    write!(f, "{}{filter}", if index == 0 { "[" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Not(filter) => write!(f, " {filter}"),
            Self::Cesql(expression) => write!(f, " {expression}"),
        }
    }
}

/// What [`Filter::first_failing`] found, displayed only when somebody asks.
enum Failing<'a> {
    Condition(&'a Filter, &'a Condition),
    Filter(&'a Filter),
    /// Of an expression.
    Term(Refusal<'a>),
    /// A filter, and the error inside it.
    Because(&'a Filter, Refusal<'a>),
}

impl<'a> Failing<'a> {
    /// The expression that could not be evaluated, if this is why the filter fails.
    fn error(self) -> Option<Refusal<'a>> {
        match self {
            Self::Term(refusal) | Self::Because(_, refusal) => refusal.error.is_some().then_some(refusal),
            Self::Condition(..) | Self::Filter(_) => None,
        }
    }
}

impl fmt::Display for Failing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(filter, condition) => {
                write!(f, "{} {}={}", filter.dialect(), condition.attribute, condition.value)
            }
            Self::Filter(filter) => write!(f, "{filter}"),
            Self::Term(refusal) => write!(f, "cesql {refusal}"),
            Self::Because(filter, refusal) => write!(f, "{filter}, where cesql {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests;
