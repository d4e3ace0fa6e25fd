//! Cuts the text of an expression into words, numbers, strings and signs.
//!
//! Never fails: what is no token becomes one that no rule accepts, so that the parser can say what it expected instead.

/// A token and where it stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind<'t>,
    pub(super) at: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind<'t> {
    /// Digits.
    Integer(&'t str),
    /// Of an attribute or a function.
    Word(&'t str),
    /// One of [`KEYWORDS`].
    Keyword(&'static str),
    /// What stands between the quotes, and which they are.
    Text(&'t str, char),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    /// A string without an end, and its quote.
    Unclosed(char),
    Unknown(char),
    End,
}

const KEYWORDS: [&str; 9] = ["AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"];

/// Longer ones before their beginnings.
const SYMBOLS: [&str; 15] = ["<>", "<=", ">=", "!=", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/", "%"];

/// The tokens of a text, one after another; [`TokenKind::End`] for ever at the end. A copy looks ahead.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn take(&mut self) -> Token<'t> {
        let rest = &self.text[self.at..];
        let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let (kind, length) = first(rest);
        // What is missing at the end is missing right behind the last token.
        let at = if kind == TokenKind::End { self.at } else { self.text.len() - rest.len() };
        self.at = at + length;
        Token { kind, at, end: self.at }
    }
}

/// The first token of a text without space before it, and its length in bytes.
fn first(text: &str) -> (TokenKind<'_>, usize) {
    let Some(c) = text.chars().next() else { return (TokenKind::End, 0) };
    if c == '\'' || c == '"' {
        return string(text, c);
    }
    if c.is_ascii_alphanumeric() || c == '_' {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        return (word(&text[..end]), end);
    }
    match SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol)) {
        Some(symbol) => (TokenKind::Symbol(symbol), symbol.len()),
        None => (TokenKind::Unknown(c), c.len_utf8()),
    }
}

fn word(word: &str) -> TokenKind<'_> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return TokenKind::Integer(word);
    }
    match KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word)) {
        Some(keyword) => TokenKind::Keyword(keyword),
        None => TokenKind::Word(word),
    }
}

/// A backslash takes the next character with it, so that an escaped quote does not end the string.
fn string(text: &str, quote: char) -> (TokenKind<'_>, usize) {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return (TokenKind::Text(&text[1..at], quote), at + 1),
            _ => {}
        }
    }
    (TokenKind::Unclosed(quote), text.len())
}
