//! Properties: no text and no event makes the reader or the evaluation fail in itself, operators group as the
//! specification says and give what they say, and patterns match as their definition does.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What texts are made of that nearly are expressions.
const PIECES: [&str; 58] = [
    "AND",
    "or",
    "XOR",
    "NOT",
    "LIKE",
    "EXISTS",
    "IN",
    "TRUE",
    "false",
    "=",
    "!=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "(",
    ")",
    ",",
    "'",
    "\"",
    "\\",
    "'a%_'",
    "\"\\\"\"",
    "''",
    "0",
    "1",
    "-1",
    "2147483647",
    "-2147483648",
    "9999999999",
    "id",
    "n",
    "missing",
    "data",
    "a_b",
    "ABS(",
    "INT(",
    "BOOL(",
    "STRING(",
    "LENGTH(",
    "CONCAT(",
    "CONCAT_WS(",
    "LOWER(",
    "UPPER(",
    "TRIM(",
    "LEFT(",
    "RIGHT(",
    "SUBSTRING(",
    "IS_INT(",
    "FOO(",
    "ß",
    "\n",
];

fn any_event() -> impl Strategy<Value = Event> {
    let value = prop_oneof!["-?[0-9]{1,11}", Just("true".to_owned()), "[a-cß%_\\\\]{0,6}", "\\PC{0,9}"];
    let extensions = btree_map(select(vec!["n", "m", "text"]), value, 0..4);
    (extensions, "[0-9a-z]{1,4}").prop_filter_map("refused at construction", |(extensions, id)| {
        let event = Event::builder().id(id).source("/s").ty("t");
        extensions.into_iter().fold(event, |event, (name, value)| event.extension(name, value)).build().ok()
    })
}

/// What must be so for any text.
fn check_any(text: &str, event: &Event) -> Result<(), TestCaseError> {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            prop_assert!(text.is_char_boundary(error.at), "{}", error.at);
            prop_assert!(!error.message.contains(char::is_control), "{}", error.message);
            return Ok(());
        }
    };
    let evaluation = expression.evaluate(event);
    prop_assert_eq!(&evaluation, &expression.evaluate(event));
    if let Some(ty) = expression.result_type() {
        prop_assert_eq!(evaluation.value.ty(), ty);
    }
    let refusal = expression.refusal(event);
    prop_assert_eq!(expression.holds(event), refusal.is_none());
    match (&evaluation.error, refusal) {
        (Some(error), refusal) => {
            prop_assert!(text.is_char_boundary(error.at));
            // A term that is no Boolean is found at its `AND` by one and by itself by the other.
            let why = refusal.and_then(|refusal| refusal.error).map(|error| (error.class, error.message));
            prop_assert_eq!(why, Some((error.class, error.message.clone())));
        }
        (None, None) => prop_assert_ne!(evaluation.value, Value::Boolean(false)),
        (None, Some(refusal)) => {
            prop_assert!(text.contains(refusal.term));
            prop_assert!(!refusal.to_string().contains(char::is_control));
            prop_assert_ne!(evaluation.value, Value::Boolean(true));
        }
    }
    Ok(())
}

/// An expression of numbers and truths, to be written in two ways and calculated in a third.
#[derive(Debug, Clone)]
enum Tree {
    Literal(&'static str),
    Unary(&'static str, Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    In(Box<Tree>, Vec<Tree>),
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let literals = vec!["0", "1", "2", "-3", "7", "65536", "2147483647", "-2147483648", "TRUE", "FALSE"];
    let operators = vec!["+", "-", "*", "/", "%", "=", "!=", "<>", "<", "<=", ">", ">=", "AND", "OR", "XOR"];
    select(literals).prop_map(Tree::Literal).prop_recursive(6, 40, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            1 => (select(vec!["NOT", "-"]), boxed.clone()).prop_map(|(sign, tree)| Tree::Unary(sign, tree)),
            6 => (select(operators.clone()), boxed.clone(), boxed.clone()).prop_map(|(o, l, r)| Tree::Binary(o, l, r)),
            1 => (boxed, vec(inner, 1..3)).prop_map(|(left, set)| Tree::In(left, set)),
        ]
    })
}

impl Tree {
    /// How tight it holds together.
    fn tightness(&self) -> u8 {
        match self {
            Self::Binary("AND" | "OR" | "XOR", ..) => 1,
            Self::Binary("+" | "-", ..) => 3,
            Self::Binary("*" | "/" | "%", ..) => 4,
            Self::Binary(..) => 2,
            Self::In(..) => 5,
            Self::Unary(..) => 6,
            Self::Literal(_) => 7,
        }
    }

    /// The expression with the parentheses that it needs, or with all that it can have.
    fn write(&self, all: bool) -> String {
        let side = |tree: &Self, least: u8| match all || tree.tightness() < least {
            true => format!("({})", tree.write(all)),
            false => tree.write(all),
        };
        match self {
            Self::Literal(text) => (*text).to_owned(),
            // With a space, so that `- 1` is no literal.
            Self::Unary(sign, tree) => format!("{sign} {}", side(tree, 6)),
            Self::Binary(operator, left, right) => {
                let least = self.tightness();
                format!("{} {operator} {}", side(left, least), side(right, least + 1))
            }
            Self::In(left, set) => {
                let set: Vec<String> = set.iter().map(|tree| side(tree, 0)).collect();
                format!("{} IN ({})", side(left, 5), set.join(", "))
            }
        }
    }

    /// The value by the words of the specification, in 64 bits; `Err` is the class of the first error.
    fn value(&self) -> Result<Val, ErrorClass> {
        let bits32 = |number: i64| i32::try_from(number).map(|_| Val::I(number)).map_err(|_| ErrorClass::Math);
        Ok(match self {
            Self::Literal("TRUE") => Val::B(true),
            Self::Literal("FALSE") => Val::B(false),
            Self::Literal(digits) => Val::I(digits.parse().unwrap()),
            Self::Unary("-", tree) => bits32(-tree.value()?.number())?,
            Self::Unary(_, tree) => match tree.value()? {
                Val::B(truth) => Val::B(!truth),
                Val::I(_) => return Err(ErrorClass::Cast),
            },
            Self::Binary("AND", left, right) => Val::B(left.value()?.truth() && right.value()?.truth()),
            Self::Binary("OR", left, right) => Val::B(left.value()?.truth() || right.value()?.truth()),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.value()?, right.value()?);
                let (x, y) = (left.number(), right.number());
                match *operator {
                    "/" | "%" if y == 0 => return Err(ErrorClass::Math),
                    "+" => bits32(x + y)?,
                    "-" => bits32(x - y)?,
                    "*" => bits32(x * y)?,
                    "/" => bits32(x / y)?,
                    "%" => Val::I(x % y),
                    "<" => Val::B(x < y),
                    "<=" => Val::B(x <= y),
                    ">" => Val::B(x > y),
                    ">=" => Val::B(x >= y),
                    "XOR" => Val::B(left.truth() != right.truth()),
                    "=" => Val::B(left.equals(right)),
                    _ => Val::B(!left.equals(right)),
                }
            }
            Self::In(left, set) => {
                let left = left.value()?;
                for element in set {
                    if element.value()?.equals(left) {
                        return Ok(Val::B(true));
                    }
                }
                Val::B(false)
            }
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Val {
    B(bool),
    I(i64),
}

impl Val {
    fn number(self) -> i64 {
        match self {
            Self::B(truth) => i64::from(truth),
            Self::I(number) => number,
        }
    }

    fn truth(self) -> bool {
        self.number() != 0
    }

    /// As the type of `other`.
    fn equals(self, other: Self) -> bool {
        match other {
            Self::B(truth) => self.truth() == truth,
            Self::I(number) => self.number() == number,
        }
    }
}

/// `LIKE` by its definition: whether the first `n` of the pattern can be the first `m` of the text, for all of both.
fn by_definition(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut wanted, mut chars) = (Vec::new(), pattern.chars().peekable());
    while let Some(c) = chars.next() {
        let escaped = c == '\\' && matches!(chars.peek(), Some('%' | '_'));
        wanted.push(if escaped { (chars.next().unwrap(), true) } else { (c, false) });
    }
    let mut fits: Vec<bool> = (0..=text.len()).map(|taken| taken == 0).collect();
    for part in wanted {
        let before = fits.clone();
        for taken in 0..=text.len() {
            fits[taken] = match part {
                ('%', false) => before[taken] || (taken > 0 && fits[taken - 1]),
                ('_', false) => taken > 0 && before[taken - 1],
                (c, _) => taken > 0 && before[taken - 1] && text[taken - 1] == c,
            };
        }
    }
    fits[text.len()]
}

/// 2,048 cases each time, more when `PROPTEST_CASES` asks for them.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2_048), max_global_rejects: 1_000_000, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_text_has_a_verdict(text in any::<String>(), event in any_event()) {
        check_any(&text, &event)?;
    }

    #[test]
    fn any_pieces_have_a_verdict(pieces in vec(select(PIECES.to_vec()), 0..24), event in any_event()) {
        check_any(&pieces.join(" "), &event)?;
        check_any(&pieces.concat(), &event)?;
    }

    #[test]
    fn expressions_over_any_event_have_a_verdict(
        pattern in "[a-cß%_\\\\]{0,6}", number in any::<i32>(), count in -9_i32..9, event in any_event(),
    ) {
        let pattern = pattern.replace('\\', "\\\\");
        for text in [
            format!("n LIKE '{pattern}' OR m NOT LIKE '%{pattern}%'"),
            format!("n * {number} + m / n - m % n > {number}"),
            format!("SUBSTRING(text, {count}) = SUBSTRING(text, {count}, {number}) AND LEFT(text, {count}) IN (text, n)"),
            format!("RIGHT(CONCAT_WS('{pattern}', text, n), {count}) <> UPPER(TRIM(text)) XOR n = m"),
            format!("NOT n AND ABS({number} - n) < LENGTH(text) AND EXISTS m AND -m = BOOL(n)"),
        ] {
            prop_assert!(Expression::parse(&text).is_ok(), "{text}");
            check_any(&text, &event)?;
        }
    }

    #[test]
    fn operators_group_and_calculate_as_specified(tree in any_tree()) {
        let event = event();
        for all in [false, true] {
            let text = tree.write(all);
            let expression = Expression::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let Evaluation { value, error } = expression.evaluate(&event);
            match tree.value() {
                Ok(Val::B(truth)) => prop_assert_eq!((value, error), (Value::Boolean(truth), None), "{}", text),
                Ok(Val::I(number)) => prop_assert_eq!((value, error), (Value::Integer(number as i32), None), "{}", text),
                Err(class) => prop_assert_eq!(error.map(|error| error.class), Some(class), "{}", text),
            }
        }
    }

    #[test]
    fn patterns_match_by_definition(text in "[ab%_\\\\ü]{0,10}", pattern in "[ab%_\\\\ü%_]{0,8}") {
        prop_assert_eq!(like::Pattern::new(&pattern).matches(&text), by_definition(&text, &pattern));
    }
}
