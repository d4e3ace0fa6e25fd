//! CloudEvents SQL v1: an expression over the attributes of an event, parsed once and evaluated often.
//!
//! A library of its own, because filters, and whoever else asks "which events", mean the same language. It knows no
//! trigger and no manifest; of an event it knows what [`Attributes`] says.
//!
//! Evaluation fails fast (specification, section 4.1): the first error ends it, and the value beside the error is the
//! zero value of what the expression gives, unless the failing operator itself stands at the top and has a better one.

mod error;
mod evaluate;
mod fault;
mod function;
mod like;
mod parse;
mod token;
mod tree;
mod value;

use std::fmt;
use std::sync::Arc;

pub use error::{Error, ErrorClass};
pub use value::{Type, Value};

use crate::event::Event;
use evaluate::Evaluator;
use fault::{Cause, Fault};
use tree::Node;

/// Longest expression in bytes: 4 KiB.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;

/// How deep parentheses, arguments, sets and unary operators may nest: reading and evaluating recurse.
pub const NESTING_MAX: usize = 64;

/// What one evaluation may cost: terms visited, bytes that functions and `LIKE` read, characters compared. As many
/// `LIKE '%x%'` over attributes of 4 KiB as an expression can hold stay below it; beyond it the error is
/// [`ErrorClass::Generic`].
pub const STEPS_MAX: u32 = 2 * 1024 * 1024;

/// What an expression can ask an event.
pub trait Attributes {
    /// The attribute of this name, in lower case; `None` when the event has none.
    fn attribute(&self, name: &str) -> Option<Value<'_>>;
}

/// Every attribute is a String: what the producer's types were does not survive the bindings.
impl Attributes for Event {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        Event::attribute(self, name).map(|text| Value::String(text.into()))
    }
}

/// An expression that was read and can be evaluated. Cloning copies a reference count; two are equal when their texts
/// are.
#[derive(Clone)]
pub struct Expression(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    root: Node,
    /// Whether the expression is a row of terms with nothing but `AND` between them, outside of parentheses.
    conjunction: bool,
}

/// The value of an expression for one event, and what went wrong on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation<'a> {
    /// The value; beside an error it says nothing about the event.
    pub value: Value<'a>,
    /// The first error.
    pub error: Option<Error>,
}

/// Why an expression does not hold for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The term that is not true: of `a AND b` the one that decided, otherwise the whole expression.
    pub term: &'a str,
    /// The error because of which it is not; `None` when it is simply false.
    pub error: Option<Error>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When the text is none, calls a function that does not exist ([`ErrorClass::MissingFunction`]), or exceeds
    /// [`EXPRESSION_BYTES_MAX`] or [`NESTING_MAX`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (root, conjunction) = parse::parse(text)?;
        Ok(Self(Arc::new(Parsed { text: text.into(), root, conjunction })))
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What the expression gives; `None` for an attribute alone, whose type only the event knows.
    pub fn result_type(&self) -> Option<Type> {
        self.0.root.result_type()
    }

    /// The value for one event.
    pub fn evaluate<'a>(&'a self, attributes: &'a dyn Attributes) -> Evaluation<'a> {
        match Evaluator::new(attributes).evaluate(&self.0.root) {
            Ok(value) => Evaluation { value, error: None },
            Err(fault) => {
                let error = Some(fault.to_error());
                // What gives no type is assumed to be a Boolean (specification, section 3.2).
                let zero = || self.result_type().unwrap_or(Type::Boolean).zero();
                Evaluation { value: fault.value.unwrap_or_else(zero), error }
            }
        }
    }

    /// Whether the expression is true for this event, without error. An attribute alone is cast, so that `true` in any
    /// case counts; other results that are no Boolean do not hold (specification, section 1.2).
    pub fn holds(&self, attributes: &dyn Attributes) -> bool {
        let result = Evaluator::new(attributes).evaluate(&self.0.root);
        result.and_then(|value| self.truth(value)).unwrap_or(false)
    }

    /// An attribute and the text it must be equal to for the expression to hold, if one can be told without an event.
    pub fn required(&self) -> Option<(&str, &str)> {
        self.0.root.required(&self.0.text)
    }

    /// Why [`Self::holds`] is not true; `None` when it is.
    pub fn refusal<'a>(&'a self, attributes: &'a dyn Attributes) -> Option<Refusal<'a>> {
        let mut evaluator = Evaluator::new(attributes);
        let terms = if self.0.conjunction { self.0.root.conjuncts(&self.0.text) } else { Vec::new() };
        for (term, first, steps) in terms {
            match evaluator.truth(first, steps) {
                Ok(true) => {}
                Ok(false) => return Some(Refusal { term, error: None }),
                Err(fault) => return Some(Refusal { term, error: Some(fault.to_error()) }),
            }
        }
        let result = Evaluator::new(attributes).evaluate(&self.0.root).and_then(|value| self.truth(value));
        match result {
            Ok(true) => None,
            Ok(false) => Some(Refusal { term: self.as_str().trim(), error: None }),
            Err(fault) => Some(Refusal { term: self.as_str().trim(), error: Some(fault.to_error()) }),
        }
    }

    /// The result as the answer to a yes-or-no question.
    fn truth<'a>(&self, value: Value<'a>) -> Result<bool, Fault<'a>> {
        match value.to_boolean() {
            Some(truth) if value.ty() != Type::Integer => Ok(truth),
            _ => Err(Fault::new(self.0.root.at, Cause::Cast(value, Type::Boolean))),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Expression {}

/// The text on one line.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self.as_str()))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// As on one line: the term may span several.
impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self.term))?;
        match &self.error {
            Some(error) => write!(f, ": {}: {error}", error.class),
            None => Ok(()),
        }
    }
}

/// Verdicts travel into logs, where a line break would forge a line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
