//! From text to a tree: Pratt's method, and what was expected where the text is wrong.
//!
//! From loose to tight (specification, section 3.6): `AND OR XOR`, comparisons, `+ -`, `* / %`, `IN`, `LIKE`, and the
//! unary operators. Equal ones go from left to right.

use super::error::{Error, ErrorClass};
use super::function::Function;
use super::like::Pattern;
use super::token::{Token, TokenKind, Tokens};
use super::tree::{Comparison, Kind, Logic, Math, Node, Operation, Step};
use super::value::Value;
use super::{EXPRESSION_BYTES_MAX, NESTING_MAX};
use crate::event::is_attribute_name;

/// How tight an operator binds its sides.
type Tightness = u8;

const LOGIC: Tightness = 1;
const COMPARISON: Tightness = 2;
const SUM: Tightness = 3;
const PRODUCT: Tightness = 4;

/// The tree, and whether it is a row of terms joined by `AND` alone.
pub(super) fn parse(text: &str) -> Result<(Node, bool), Error> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression has {} bytes, expected at most {EXPRESSION_BYTES_MAX}", text.len());
        return Err(Error { class: ErrorClass::Parse, at: 0, message });
    }
    let mut tokens = Tokens::new(text);
    let token = tokens.take();
    let mut parser = Parser { tokens, token, nesting: 0, outer_logic: Vec::new() };
    let root = parser.row(LOGIC)?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected("an operator or the end of the expression"));
    }
    let conjunction = !parser.outer_logic.is_empty() && parser.outer_logic.iter().all(|logic| *logic == Logic::And);
    Ok((root, conjunction))
}

struct Parser<'t> {
    tokens: Tokens<'t>,
    /// The one that is to be understood next.
    token: Token<'t>,
    nesting: usize,
    /// The logic operators outside of everything.
    outer_logic: Vec<Logic>,
}

/// A binary operator that was recognised and not yet read.
#[derive(Clone, Copy)]
enum Binary {
    Logic(Logic),
    Compare(Comparison),
    Math(Math),
}

impl<'t> Parser<'t> {
    /// A term and the operators after it that bind at least so tight.
    fn row(&mut self, least: Tightness) -> Result<Node, Error> {
        let first = self.term()?;
        let mut steps = Vec::new();
        loop {
            let at = self.token.at;
            let operation = match self.token.kind {
                TokenKind::Keyword("NOT" | "LIKE" | "IN") => self.like_or_in()?,
                kind => match binary(kind).filter(|(_, tightness)| *tightness >= least) {
                    Some((operator, tightness)) => self.operation(operator, tightness)?,
                    None => break,
                },
            };
            steps.push(Step { at, operation });
        }
        if steps.is_empty() {
            return Ok(first);
        }
        Ok(Node { at: first.at, kind: Kind::Row(Box::new(first), steps) })
    }

    fn operation(&mut self, operator: Binary, tightness: Tightness) -> Result<Operation, Error> {
        self.advance();
        if let (Binary::Logic(logic), 0) = (operator, self.nesting) {
            self.outer_logic.push(logic);
        }
        let right = self.row(tightness + 1)?;
        Ok(match operator {
            Binary::Logic(logic) => Operation::Logic(logic, right),
            Binary::Compare(comparison) => Operation::Compare(comparison, right),
            Binary::Math(math) => Operation::Math(math, right),
        })
    }

    fn like_or_in(&mut self) -> Result<Operation, Error> {
        let negated = self.accept(TokenKind::Keyword("NOT"));
        if self.accept(TokenKind::Keyword("LIKE")) {
            let TokenKind::Text(raw, quote) = self.token.kind else {
                return Err(self.unexpected("a pattern in quotes after LIKE"));
            };
            self.advance();
            return Ok(Operation::Like { pattern: Pattern::new(&unescape(raw, quote)), negated });
        }
        if !self.accept(TokenKind::Keyword("IN")) {
            return Err(self.unexpected("LIKE or IN after NOT"));
        }
        self.expect("(")?;
        let set = self.list()?;
        Ok(Operation::In { set, negated })
    }

    /// What operators work on.
    fn term(&mut self) -> Result<Node, Error> {
        let Token { kind, at, end } = self.token;
        let kind = match kind {
            TokenKind::Integer(digits) => {
                let value = integer("", digits, at)?;
                self.advance();
                Kind::Literal(Value::Integer(value))
            }
            TokenKind::Text(raw, quote) => {
                self.advance();
                Kind::Literal(Value::String(unescape(raw, quote).into()))
            }
            TokenKind::Keyword(word @ ("TRUE" | "FALSE")) => {
                self.advance();
                Kind::Literal(Value::Boolean(word == "TRUE"))
            }
            TokenKind::Keyword("EXISTS") => {
                self.advance();
                let TokenKind::Word(_) = self.token.kind else {
                    return Err(self.unexpected("the name of an attribute after EXISTS"));
                };
                Kind::Exists(self.attribute()?)
            }
            TokenKind::Keyword("NOT") => {
                self.advance();
                Kind::Not(self.nested(at, Self::term)?.into())
            }
            TokenKind::Symbol(sign @ ("-" | "+")) => {
                self.advance();
                self.signed(sign, at, end)?
            }
            TokenKind::Symbol("(") => {
                self.advance();
                let inner = self.nested(at, |parser| parser.row(LOGIC))?;
                self.expect_one_of(")", "an operator or `)`")?;
                return Ok(inner);
            }
            TokenKind::Word(_) => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { at, kind })
    }

    /// After a sign: digits right behind it are a literal with it, which -2147483648 needs; otherwise `-` negates.
    fn signed(&mut self, sign: &'static str, at: usize, end: usize) -> Result<Kind, Error> {
        match self.token.kind {
            TokenKind::Integer(digits) if self.token.at == end => {
                let value = integer(sign, digits, at)?;
                self.advance();
                Ok(Kind::Literal(Value::Integer(value)))
            }
            _ if sign == "-" => Ok(Kind::Negate(self.nested(at, Self::term)?.into())),
            _ => Err(self.unexpected("digits right after `+`")),
        }
    }

    /// An attribute, or a function when a parenthesis follows.
    fn word(&mut self) -> Result<Kind, Error> {
        let Token { kind: TokenKind::Word(name), at, .. } = self.token else {
            return Err(self.unexpected("a name"));
        };
        let mut ahead = self.tokens;
        if ahead.take().kind != TokenKind::Symbol("(") {
            return self.attribute().map(Kind::Attribute);
        }
        self.advance();
        self.advance();
        let arguments = if self.accept(TokenKind::Symbol(")")) { Vec::new() } else { self.list()? };
        match Function::resolve(name, arguments.len()) {
            Ok(function) => Ok(Kind::Call(function, arguments)),
            Err(message) => Err(Error { class: ErrorClass::MissingFunction, at, message }),
        }
    }

    /// The name of an attribute, in lower case.
    fn attribute(&mut self) -> Result<Box<str>, Error> {
        let TokenKind::Word(name) = self.token.kind else { return Err(self.unexpected("the name of an attribute")) };
        let lower = name.to_ascii_lowercase();
        if !is_attribute_name(&lower) {
            let hint = if lower == "data" {
                "expected attributes, not what the event carries"
            } else {
                "expected a-z and 0-9 only"
            };
            return Err(self.error(format!("`{name}` is not the name of an event attribute: {hint}")));
        }
        self.advance();
        Ok(lower.into())
    }

    /// Expressions with commas between them, at least one, and the parenthesis after them.
    fn list(&mut self) -> Result<Vec<Node>, Error> {
        let mut list = Vec::new();
        loop {
            let at = self.token.at;
            list.push(self.nested(at, |parser| parser.row(LOGIC))?);
            if !self.accept(TokenKind::Symbol(",")) {
                self.expect_one_of(")", "an operator, `,` or `)`")?;
                return Ok(list);
            }
        }
    }

    /// Reads one level deeper.
    fn nested<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.nesting >= NESTING_MAX {
            let message = format!("the expression nests deeper than {NESTING_MAX}");
            return Err(Error { class: ErrorClass::Parse, at, message });
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    fn advance(&mut self) {
        self.token = self.tokens.take();
    }

    fn accept(&mut self, kind: TokenKind<'_>) -> bool {
        let found = self.token.kind == kind;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), Error> {
        self.expect_one_of(symbol, &format!("`{symbol}`"))
    }

    /// Takes the sign, or says what else could have stood there.
    fn expect_one_of(&mut self, symbol: &'static str, expected: &str) -> Result<(), Error> {
        if self.accept(TokenKind::Symbol(symbol)) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// The next token is not what could stand here.
    fn unexpected(&self, expected: &str) -> Error {
        let found = match self.token.kind {
            TokenKind::Integer(_) => "a number".to_owned(),
            TokenKind::Word(word) => format!("`{word}`"),
            TokenKind::Keyword(word) => word.to_owned(),
            TokenKind::Text(..) => "a string".to_owned(),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::Unclosed(quote) => {
                return self.error(format!("the string that begins here has no closing {quote}"));
            }
            TokenKind::Unknown(c) => format!("`{}`", c.escape_debug()),
            TokenKind::End => "the end of the expression".to_owned(),
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    fn error(&self, message: String) -> Error {
        Error { class: ErrorClass::Parse, at: self.token.at, message }
    }
}

fn binary(kind: TokenKind<'_>) -> Option<(Binary, Tightness)> {
    Some(match kind {
        TokenKind::Keyword("AND") => (Binary::Logic(Logic::And), LOGIC),
        TokenKind::Keyword("OR") => (Binary::Logic(Logic::Or), LOGIC),
        TokenKind::Keyword("XOR") => (Binary::Logic(Logic::Xor), LOGIC),
        TokenKind::Symbol("=") => (Binary::Compare(Comparison::Equal), COMPARISON),
        TokenKind::Symbol("!=" | "<>") => (Binary::Compare(Comparison::NotEqual), COMPARISON),
        TokenKind::Symbol("<") => (Binary::Compare(Comparison::Less), COMPARISON),
        TokenKind::Symbol("<=") => (Binary::Compare(Comparison::LessOrEqual), COMPARISON),
        TokenKind::Symbol(">") => (Binary::Compare(Comparison::Greater), COMPARISON),
        TokenKind::Symbol(">=") => (Binary::Compare(Comparison::GreaterOrEqual), COMPARISON),
        TokenKind::Symbol("+") => (Binary::Math(Math::Add), SUM),
        TokenKind::Symbol("-") => (Binary::Math(Math::Subtract), SUM),
        TokenKind::Symbol("*") => (Binary::Math(Math::Multiply), PRODUCT),
        TokenKind::Symbol("/") => (Binary::Math(Math::Divide), PRODUCT),
        TokenKind::Symbol("%") => (Binary::Math(Math::Remainder), PRODUCT),
        _ => return None,
    })
}

fn integer(sign: &str, digits: &str, at: usize) -> Result<i32, Error> {
    format!("{sign}{digits}").parse().map_err(|_| {
        let message = format!("expected a number from {} to {}", i32::MIN, i32::MAX);
        Error { class: ErrorClass::Parse, at, message }
    })
}

/// A backslash before the quote that ends the string is dropped; every other one stays, for `LIKE` and for itself.
fn unescape(raw: &str, quote: char) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next)) => {
                if next != quote {
                    text.push(c);
                }
                text.push(next);
                chars.next();
            }
            _ => text.push(c),
        }
    }
    text
}
