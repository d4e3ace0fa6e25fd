//! The three types of the language and the casts between them (specification, sections 3.1 and 3.7).

use std::borrow::Cow;
use std::fmt;

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Boolean,
    /// 32 bits, signed.
    Integer,
    /// Unicode characters.
    String,
}

/// A value. Texts are borrowed from the expression or the event as long as no function changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// True or false.
    Boolean(bool),
    /// 32 bits, signed.
    Integer(i32),
    /// Unicode characters.
    String(Cow<'a, str>),
}

impl Type {
    /// The value that stands in where there is none.
    pub const fn zero(self) -> Value<'static> {
        match self {
            Self::Boolean => Value::Boolean(false),
            Self::Integer => Value::Integer(0),
            Self::String => Value::String(Cow::Borrowed("")),
        }
    }
}

/// As the specification writes it: `Integer`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::String => "String",
        })
    }
}

impl<'a> Value<'a> {
    /// The value's type.
    pub const fn ty(&self) -> Type {
        match self {
            Self::Boolean(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::String(_) => Type::String,
        }
    }

    /// The same value, its text borrowed.
    pub(super) fn borrowed(&'a self) -> Self {
        match self {
            Self::Boolean(value) => Self::Boolean(*value),
            Self::Integer(value) => Self::Integer(*value),
            Self::String(text) => Self::String(Cow::Borrowed(text)),
        }
    }

    /// Cast to Boolean: an Integer other than zero is true, a String must be `true` or `false` in any case.
    pub(super) fn to_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Integer(value) => Some(*value != 0),
            // No character outside ASCII has a lower case within these words.
            Self::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::String(_) => None,
        }
    }

    /// Cast to Integer: a String is decimal digits with or without a sign, within 32 bits.
    pub(super) fn to_integer(&self) -> Option<i32> {
        match self {
            Self::Boolean(value) => Some(i32::from(*value)),
            Self::Integer(value) => Some(*value),
            Self::String(text) => text.parse().ok(),
        }
    }

    /// Cast to String, which every value allows.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::String(text) => text,
        }
    }

    /// Cast to any type; gives the value back when it cannot be done.
    pub(super) fn cast(self, to: Type) -> Result<Self, Self> {
        match to {
            Type::Boolean => self.to_boolean().map(Self::Boolean).ok_or(self),
            Type::Integer => self.to_integer().map(Self::Integer).ok_or(self),
            Type::String => Ok(Self::String(self.into_text())),
        }
    }
}
