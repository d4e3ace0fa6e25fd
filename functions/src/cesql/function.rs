//! The built-in functions (specification, section 3.5): their names, how many arguments each takes, what it gives, and
//! what those on texts do.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::value::Type;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Bool,
    Concat,
    ConcatWs,
    Int,
    IsBool,
    IsInt,
    Left,
    Length,
    Lower,
    Right,
    String,
    Substring,
    Trim,
    Upper,
}

/// Name, numbers of arguments and result of every function, in the order of the names.
const FUNCTIONS: [(&str, Function, RangeInclusive<usize>, Type); 15] = [
    ("ABS", Function::Abs, 1..=1, Type::Integer),
    ("BOOL", Function::Bool, 1..=1, Type::Boolean),
    ("CONCAT", Function::Concat, 0..=usize::MAX, Type::String),
    ("CONCAT_WS", Function::ConcatWs, 1..=usize::MAX, Type::String),
    ("INT", Function::Int, 1..=1, Type::Integer),
    ("IS_BOOL", Function::IsBool, 1..=1, Type::Boolean),
    ("IS_INT", Function::IsInt, 1..=1, Type::Boolean),
    ("LEFT", Function::Left, 2..=2, Type::String),
    ("LENGTH", Function::Length, 1..=1, Type::Integer),
    ("LOWER", Function::Lower, 1..=1, Type::String),
    ("RIGHT", Function::Right, 2..=2, Type::String),
    ("STRING", Function::String, 1..=1, Type::String),
    ("SUBSTRING", Function::Substring, 2..=3, Type::String),
    ("TRIM", Function::Trim, 1..=1, Type::String),
    ("UPPER", Function::Upper, 1..=1, Type::String),
];

impl Function {
    /// The function of this name, in any case, for so many arguments; otherwise what is wrong, in words.
    pub(super) fn resolve(name: &str, arguments: usize) -> Result<Self, String> {
        let Some((name, function, takes, _)) = FUNCTIONS.iter().find(|row| row.0.eq_ignore_ascii_case(name)) else {
            let names = FUNCTIONS.map(|row| row.0).join(", ");
            return Err(format!("there is no function {name}: expected one of {names}"));
        };
        if takes.contains(&arguments) {
            return Ok(*function);
        }
        let (least, most) = (takes.start(), takes.end());
        let expected = if least == most {
            format!("{least}")
        } else if *most == usize::MAX {
            format!("at least {least}")
        } else {
            format!("{least} to {most}")
        };
        Err(format!("{name} takes {expected} arguments, found {arguments}"))
    }

    pub(super) fn result_type(self) -> Type {
        FUNCTIONS.iter().find(|row| row.1 == self).map_or(Type::Boolean, |row| row.3)
    }
}

/// Characters of a text.
pub(super) fn length(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX)
}

/// `SUBSTRING`: places count from 1, from the end when negative; 0 is before the text. `Err` says what is wrong.
pub(super) fn substring(text: Cow<'_, str>, place: i32, length: Option<i32>) -> Result<Cow<'_, str>, &'static str> {
    let Ok(length) = length.map(usize::try_from).transpose() else {
        return Err("the third argument of SUBSTRING must not be negative");
    };
    let chars = text.chars().count();
    let distance = usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX);
    if distance > chars {
        return Err("the second argument of SUBSTRING must be a place within the text");
    }
    Ok(match place {
        0 => Cow::Borrowed(""),
        1.. => slice(text, distance - 1, length),
        _ => slice(text, chars - distance, length),
    })
}

/// `LEFT`; the count is not negative.
pub(super) fn left(text: Cow<'_, str>, count: usize) -> Cow<'_, str> {
    slice(text, 0, Some(count))
}

/// `RIGHT`; the count is not negative.
pub(super) fn right(text: Cow<'_, str>, count: usize) -> Cow<'_, str> {
    let skipped = text.chars().count().saturating_sub(count);
    slice(text, skipped, None)
}

/// The characters from `start` on, all or at most `count`.
fn slice(text: Cow<'_, str>, start: usize, count: Option<usize>) -> Cow<'_, str> {
    let cut = |text: &str| {
        let byte_of = |char: usize| text.char_indices().nth(char).map_or(text.len(), |(at, _)| at);
        let begin = byte_of(start);
        begin..count.map_or(text.len(), |count| byte_of(start.saturating_add(count)))
    };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[cut(text)]),
        Cow::Owned(text) => Cow::Owned(text[cut(&text)].to_owned()),
    }
}
