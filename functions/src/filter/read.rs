//! Reads a Trigger's filters and notes every mistake in them.

use super::{Condition, Filter, Filters};
use crate::cesql::{Expression, Type};
use crate::event::is_attribute_name;
use crate::manifest::{Code, Field, Findings};

const DIALECTS: [&str; 7] = ["exact", "prefix", "suffix", "all", "any", "not", "cesql"];

/// Filters of one list, and conditions of one filter.
const ENTRIES: usize = 256;

/// Nesting of `all`, `any` and `not`: judging an event recurses.
const DEPTH: usize = 8;

impl Filters {
    pub(crate) fn read(field: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let entries = field.at_most(ENTRIES, out);
        Self(entries.iter().filter_map(|entry| Filter::read(entry, 1, out)).collect())
    }
}

impl Filter {
    fn read(field: &Field<'_>, depth: usize, out: &mut Findings<'_>) -> Option<Self> {
        if depth > DEPTH {
            field.report(Code::BadValue, format!("filters may nest at most {DEPTH} deep"), out);
            return None;
        }
        let section = field.section(&DIALECTS, out);
        let given: Vec<_> = DIALECTS.iter().filter_map(|key| Some((*key, section.get(key)?))).collect();
        let (dialect, body) = match given.as_slice() {
            [one] => one,
            // Any other key was reported when the section was opened.
            [] if section.is_absent() || !section.is_empty() => return None,
            _ => {
                let message = format!("`{}` must have exactly one of {}", field.path(), DIALECTS.join(", "));
                field.report(Code::BadValue, message, out);
                return None;
            }
        };
        Some(match *dialect {
            "exact" => Self::Exact(read_conditions(body, out)),
            "prefix" => Self::Prefix(read_conditions(body, out)),
            "suffix" => Self::Suffix(read_conditions(body, out)),
            "all" => Self::All(read_nested(body, depth, out)),
            "any" => Self::Any(read_nested(body, depth, out)),
            "cesql" => Self::Cesql(read_expression(body, out)?),
            _ => Self::Not(Box::new(Self::read(body, depth + 1, out)?)),
        })
    }
}

fn read_nested(field: &Field<'_>, depth: usize, out: &mut Findings<'_>) -> Vec<Filter> {
    let entries = field.some(ENTRIES, out);
    entries.iter().filter_map(|entry| Filter::read(entry, depth + 1, out)).collect()
}

/// An expression that can be true. One that is always a number or a text could never let an event pass.
fn read_expression(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Expression> {
    let text = field.text(out)?;
    let (at, message) = match Expression::parse(text) {
        Ok(expression) => match expression.result_type() {
            None | Some(Type::Boolean) => return Some(expression),
            Some(ty) => (0, format!("the result is of type {ty}, expected Boolean: compare it with something")),
        },
        Err(error) => (error.at, error.message),
    };
    field.report_within(at, Code::BadValue, message, out);
    None
}

/// `{ attribute: text, … }`. Neither may be empty (Subscriptions API, section 3.2.4.1).
fn read_conditions(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<Condition> {
    let noted = out.count();
    let mut conditions = Vec::new();
    for (attribute, key_at, value) in field.open_section(out) {
        if !is_attribute_name(attribute) {
            let shown = attribute.escape_debug();
            let message = format!("`{shown}` is not the name of an event attribute: expected a-z and 0-9 only");
            out.report(key_at, value.path(), Code::BadValue, message);
        }
        let Some(text) = value.text(out) else { continue };
        if text.is_empty() {
            value.report(Code::BadValue, format!("`{}` must not be empty", value.path()), out);
        }
        conditions.push(Condition { attribute: attribute.to_owned(), value: text.to_owned() });
    }
    if conditions.is_empty() && out.count() == noted {
        field.report(Code::BadValue, format!("`{}` must name at least one attribute", field.path()), out);
    }
    if conditions.len() > ENTRIES {
        let message = format!("`{}` may have at most {ENTRIES} attributes", field.path());
        field.report(Code::BadValue, message, out);
    }
    conditions
}
