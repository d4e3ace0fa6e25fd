//! An expression as it was understood.
//!
//! A row of operators (`a AND b AND c`, `1 + 2 - 3`) is one node with steps and not a tree as deep as the row is long:
//! what recurses over nodes goes no deeper than the text nests.

use super::function::Function;
use super::like::Pattern;
use super::value::{Type, Value};

/// A term and where it stands, in bytes.
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Literal(Value<'static>),
    Attribute(Box<str>),
    Exists(Box<str>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Call(Function, Vec<Node>),
    /// A term, and what is done to it from left to right. At least one step.
    Row(Box<Node>, Vec<Step>),
}

/// An operator with its right side, and where the operator stands.
pub(super) struct Step {
    pub(super) at: usize,
    pub(super) operation: Operation,
}

pub(super) enum Operation {
    Math(Math, Node),
    Compare(Comparison, Node),
    Logic(Logic, Node),
    Like { pattern: Pattern, negated: bool },
    In { set: Vec<Node>, negated: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
}

impl Node {
    /// What the term gives; `None` for an attribute, whose type only the event knows.
    pub(super) fn result_type(&self) -> Option<Type> {
        match &self.kind {
            Kind::Literal(value) => Some(value.ty()),
            Kind::Attribute(_) => None,
            Kind::Exists(_) | Kind::Not(_) => Some(Type::Boolean),
            Kind::Negate(_) => Some(Type::Integer),
            Kind::Call(function, _) => Some(function.result_type()),
            Kind::Row(first, steps) => match steps.last() {
                None => first.result_type(),
                Some(Step { operation: Operation::Math(..), .. }) => Some(Type::Integer),
                Some(_) => Some(Type::Boolean),
            },
        }
    }

    /// An attribute and the text that it must be equal to for this to be true, if one is plain to see: this is such a
    /// comparison, or a row of `AND`s with one among its terms. `text` is that of the whole expression.
    pub(super) fn required<'a>(&'a self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let Kind::Row(first, steps) = &self.kind else { return None };
        let other = |step: &Step| matches!(step.operation, Operation::Logic(Logic::Or | Logic::Xor, _));
        if steps.iter().any(other) {
            return None;
        }
        if !steps.iter().any(|step| matches!(step.operation, Operation::Logic(..))) {
            return equality(first, steps);
        }
        let terms = self.conjuncts(text);
        terms.into_iter().find_map(|(_, node, steps)| match steps {
            [] => node.required(text),
            steps => equality(node, steps),
        })
    }

    /// The terms between the `AND`s of a row: the text of each, and its term and steps. `text` is that of the whole
    /// expression, of which this is the root.
    pub(super) fn conjuncts<'a>(&'a self, text: &'a str) -> Vec<(&'a str, &'a Node, &'a [Step])> {
        let Kind::Row(first, steps) = &self.kind else { return Vec::new() };
        // Behind an outer `AND` comes nothing but the next one.
        let logic = |step: &Step| matches!(step.operation, Operation::Logic(..));
        let (steps, ands) = steps.split_at(steps.iter().position(logic).unwrap_or(steps.len()));
        let mut ends = ands.iter().map(|and| and.at).chain([text.len()]);
        let mut cut = |start: usize| text.get(start..ends.next().unwrap_or(start)).unwrap_or_default().trim();
        let mut terms = vec![(cut(0), first.as_ref(), steps)];
        for and in ands {
            if let Operation::Logic(_, right) = &and.operation {
                terms.push((cut(and.at + "AND".len()), right, &[]));
            }
        }
        terms
    }
}

/// The attribute and the text of a comparison `attribute = 'text'`, either way round.
fn equality<'a>(first: &'a Node, steps: &'a [Step]) -> Option<(&'a str, &'a str)> {
    let [Step { operation: Operation::Compare(Comparison::Equal, second), .. }] = steps else { return None };
    match (&first.kind, &second.kind) {
        (Kind::Attribute(name), Kind::Literal(Value::String(value)))
        | (Kind::Literal(Value::String(value)), Kind::Attribute(name)) => Some((name, value)),
        _ => None,
    }
}
