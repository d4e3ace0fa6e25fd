//! The value of a term for one event, fail-fast and within a budget.

use std::borrow::Cow;

use super::fault::{Cause, Fault};
use super::function::{self, Function};
use super::like::Pattern;
use super::tree::{Comparison, Kind, Logic, Math, Node, Operation, Step};
use super::value::{Type, Value};
use super::{Attributes, STEPS_MAX};

type Outcome<'a, T = Value<'a>> = Result<T, Fault<'a>>;

/// One evaluation.
pub(super) struct Evaluator<'a> {
    attributes: &'a dyn Attributes,
    steps_left: usize,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(attributes: &'a dyn Attributes) -> Self {
        Self { attributes, steps_left: STEPS_MAX as usize }
    }

    /// The term's value. A fault may carry the value that the specification wants beside it.
    pub(super) fn evaluate(&mut self, node: &'a Node) -> Outcome<'a> {
        self.spend(1, node.at)?;
        match &node.kind {
            Kind::Literal(value) => Ok(value.borrowed()),
            Kind::Attribute(name) => {
                self.attributes.attribute(name).ok_or(Fault::new(node.at, Cause::MissingAttribute(name)))
            }
            Kind::Exists(name) => Ok(Value::Boolean(self.attributes.attribute(name).is_some())),
            Kind::Not(operand) => self.not(operand, node.at),
            Kind::Negate(operand) => {
                let negated = self.integer(operand, node.at)?.checked_neg();
                negated.map(Value::Integer).ok_or(Fault::new(node.at, Cause::Overflow))
            }
            Kind::Call(function, arguments) => self.call(*function, arguments, node.at),
            Kind::Row(first, steps) => self.row(first, steps),
        }
    }

    /// A term with its steps as a Boolean: one side of an `AND`.
    pub(super) fn truth(&mut self, first: &'a Node, steps: &'a [Step]) -> Outcome<'a, bool> {
        let value = self.row(first, steps)?;
        boolean(value, first.at)
    }

    fn spend(&mut self, steps: usize, at: usize) -> Outcome<'a, ()> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Fault::new(at, Cause::TooCostly))?;
        Ok(())
    }

    fn row(&mut self, first: &'a Node, steps: &'a [Step]) -> Outcome<'a> {
        let mut value = self.operand(first)?;
        for step in steps {
            value = self.step(value, step)?;
        }
        Ok(value)
    }

    fn step(&mut self, left: Value<'a>, step: &'a Step) -> Outcome<'a> {
        let at = step.at;
        let truth = match &step.operation {
            Operation::Math(math, right) => {
                let right = self.operand(right)?;
                return calculate(*math, integer(left, at)?, integer(right, at)?, at);
            }
            Operation::Compare(comparison, right) => {
                let right = self.operand(right)?;
                compare(*comparison, left, right, at)?
            }
            Operation::Logic(logic, right) => match (logic, boolean(left, at)?) {
                (Logic::And, false) => false,
                (Logic::Or, true) => true,
                (Logic::And, true) | (Logic::Or, false) => boolean(self.operand(right)?, at)?,
                (Logic::Xor, left) => left != boolean(self.operand(right)?, at)?,
            },
            Operation::Like { pattern, negated } => self.like(left, pattern, at)? != *negated,
            Operation::In { set, negated } => self.is_in(left, set, at)? != *negated,
        };
        Ok(Value::Boolean(truth))
    }

    fn like(&mut self, left: Value<'a>, pattern: &Pattern, at: usize) -> Outcome<'a, bool> {
        let text = left.into_text();
        self.spend(pattern.cost(text.len()), at)?;
        Ok(pattern.matches(&text))
    }

    /// As `left = y1 OR left = y2 …`, but cast to the type of `left`.
    fn is_in(&mut self, left: Value<'a>, set: &'a [Node], at: usize) -> Outcome<'a, bool> {
        for element in set {
            let element = self.operand(element)?;
            if cast(element, left.ty(), at)? == left {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `NOT` takes no Integer, although an Integer can be cast to Boolean elsewhere, and of what it cannot take it makes
    /// `true`: so says the conformance suite ("Invalid int cast"), which is stricter here than the text of section 3.7.
    fn not(&mut self, operand: &'a Node, at: usize) -> Outcome<'a> {
        let value = self.operand(operand)?;
        match value.to_boolean() {
            Some(truth) if value.ty() != Type::Integer => Ok(Value::Boolean(!truth)),
            _ => Err(Fault::new(at, Cause::Cast(value, Type::Boolean)).with_value(Value::Boolean(true))),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Node], at: usize) -> Outcome<'a> {
        Ok(match (function, arguments) {
            (Function::Abs, [x]) => {
                let absolute = self.integer(x, at)?.checked_abs();
                let overflow = || Fault::new(at, Cause::Overflow).with_value(Value::Integer(i32::MAX));
                Value::Integer(absolute.ok_or_else(overflow)?)
            }
            (Function::Int, [x]) => Value::Integer(self.integer(x, at)?),
            (Function::Bool, [x]) => Value::Boolean(boolean(self.operand(x)?, at)?),
            (Function::String, [x]) => Value::String(self.text(x, at)?),
            (Function::IsInt, [x]) => Value::Boolean(self.operand(x)?.to_integer().is_some()),
            (Function::IsBool, [x]) => Value::Boolean(self.operand(x)?.to_boolean().is_some()),
            (Function::Length, [x]) => Value::Integer(function::length(&self.text(x, at)?)),
            (Function::Lower, [x]) => Value::String(self.text(x, at)?.to_lowercase().into()),
            (Function::Upper, [x]) => Value::String(self.text(x, at)?.to_uppercase().into()),
            (Function::Trim, [x]) => Value::String(trim(self.text(x, at)?)),
            (Function::Concat, texts) => self.concat("", texts, at)?,
            (Function::ConcatWs, [separator, texts @ ..]) => {
                let separator = self.text(separator, at)?;
                self.concat(&separator, texts, at)?
            }
            (Function::Left, [x, count]) => self.side(x, count, at, function::left)?,
            (Function::Right, [x, count]) => self.side(x, count, at, function::right)?,
            (Function::Substring, [x, place, rest @ ..]) => {
                let (text, place) = (self.text(x, at)?, self.integer(place, at)?);
                let length = rest.first().map(|length| self.integer(length, at)).transpose()?;
                let part = function::substring(text, place, length);
                Value::String(part.map_err(|why| Fault::new(at, Cause::Argument(why)))?)
            }
            // The parser lets no other number of arguments through.
            _ => return Err(Fault::new(at, Cause::Argument("the number of arguments is wrong"))),
        })
    }

    /// `LEFT` and `RIGHT`: a negative count gives the whole text and an error.
    fn side(
        &mut self,
        text: &'a Node,
        count: &'a Node,
        at: usize,
        cut: fn(Cow<'a, str>, usize) -> Cow<'a, str>,
    ) -> Outcome<'a> {
        let text = self.text(text, at)?;
        match usize::try_from(self.integer(count, at)?) {
            Ok(count) => Ok(Value::String(cut(text, count))),
            Err(_) => {
                let why = Cause::Argument("the second argument of LEFT and RIGHT must not be negative");
                Err(Fault::new(at, why).with_value(Value::String(text)))
            }
        }
    }

    fn concat(&mut self, separator: &str, texts: &'a [Node], at: usize) -> Outcome<'a> {
        let mut all = String::new();
        for (index, text) in texts.iter().enumerate() {
            let text = self.text(text, at)?;
            if index > 0 {
                self.spend(separator.len(), at)?;
                all.push_str(separator);
            }
            all.push_str(&text);
        }
        Ok(Value::String(all.into()))
    }

    /// The value of what an operator works on.
    fn operand(&mut self, node: &'a Node) -> Outcome<'a> {
        self.evaluate(node).map_err(Fault::passed_on)
    }

    fn integer(&mut self, node: &'a Node, at: usize) -> Outcome<'a, i32> {
        integer(self.operand(node)?, at)
    }

    /// The text of an argument. What functions do with it is linear in its length, so here it is paid for.
    fn text(&mut self, node: &'a Node, at: usize) -> Outcome<'a, Cow<'a, str>> {
        let text = self.operand(node)?.into_text();
        self.spend(text.len(), at)?;
        Ok(text)
    }
}

fn cast(value: Value<'_>, to: Type, at: usize) -> Outcome<'_> {
    value.cast(to).map_err(|value| Fault::new(at, Cause::Cast(value, to)))
}

fn integer(value: Value<'_>, at: usize) -> Outcome<'_, i32> {
    value.to_integer().ok_or(Fault::new(at, Cause::Cast(value, Type::Integer)))
}

fn boolean(value: Value<'_>, at: usize) -> Outcome<'_, bool> {
    value.to_boolean().ok_or(Fault::new(at, Cause::Cast(value, Type::Boolean)))
}

/// The specification names an overflow for `ABS` alone; the other operators have the same class of error, since a
/// number that wrapped around would let the wrong events through.
fn calculate<'a>(math: Math, left: i32, right: i32, at: usize) -> Outcome<'a> {
    let result = match math {
        Math::Add => left.checked_add(right),
        Math::Subtract => left.checked_sub(right),
        Math::Multiply => left.checked_mul(right),
        Math::Divide | Math::Remainder if right == 0 => return Err(Fault::new(at, Cause::DivisionByZero)),
        Math::Divide => left.checked_div(right),
        // -2147483648 % -1 is 0, although the quotient is beyond 32 bits.
        Math::Remainder => Some(left.wrapping_rem(right)),
    };
    result.map(Value::Integer).ok_or(Fault::new(at, Cause::Overflow))
}

/// Equality takes the type of the right side (section 3.7); order is one of Integers.
fn compare<'a>(comparison: Comparison, left: Value<'a>, right: Value<'a>, at: usize) -> Outcome<'a, bool> {
    if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
        let equal = cast(left, right.ty(), at)? == right;
        return Ok(equal == (comparison == Comparison::Equal));
    }
    let (left, right) = (integer(left, at)?, integer(right, at)?);
    Ok(match comparison {
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
        Comparison::Equal | Comparison::NotEqual => false,
    })
}

/// White space as Unicode defines it.
fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}
