//! Tables of what expressions give, and of what is wrong with texts that are none.

mod properties;
mod tck;

use super::*;

/// `id=7 source=/shop amount=11 word=Grüße flag=TRUE big=2147483647`.
fn event() -> Event {
    let event = Event::builder().id("7").source("/shop").ty("order.created");
    let event = event.extension("amount", "11").extension("word", "Grüße").extension("flag", "TRUE");
    event.extension("big", "2147483647").build().unwrap()
}

/// The value as a literal, and the class and place of the error.
fn shown(evaluation: &Evaluation<'_>) -> String {
    let value = match &evaluation.value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::String(text) => format!("{text:?}"),
    };
    match &evaluation.error {
        None => value,
        Some(error) => format!("{value} {}@{}", error.class, error.at),
    }
}

fn check(text: &str, expect: &str) {
    let (event, expression) = (event(), Expression::parse(text).unwrap());
    assert_eq!(shown(&expression.evaluate(&event)), expect, "{text}");
}

#[test]
fn operators() {
    // Equal operators go from left to right; AND, OR and XOR are equal.
    check("2 - 1 - 1", "0");
    check("16 / 4 / 2", "2");
    check("2 + 3 * 4 = 14", "true");
    check("1 < 2 = TRUE", "true");
    check("TRUE OR TRUE AND FALSE", "false");
    check("FALSE AND FALSE OR TRUE", "true");
    check("TRUE XOR TRUE XOR TRUE", "true");
    // Unary operators bind tighter than all others, and IN and LIKE tighter than arithmetic.
    check("NOT FALSE AND FALSE", "false");
    check("-2 + 3", "1");
    check("-amount", "-11");
    check("- 5 - -5", "0");
    check("1-1", "0");
    check("3 +2", "5");
    check("1 + 1 IN (1)", "2");
    check("NOT 'a' LIKE 'a'", "false cast@0");
    check("1 IN (1) LIKE 'tr%'", "true");
    // The right side's type counts for equality, the left side's for sets.
    check("amount = 11", "true");
    check("11 = amount", "true");
    check("amount = '011'", "false");
    check("flag = TRUE", "true");
    check("TRUE = flag", "false");
    check("word = 5", "false cast@5");
    check("amount IN (10, '11', 12)", "true");
    check("amount NOT IN (10, missing)", "false missingAttribute@19");
    check("amount IN (11, missing)", "true");
    check("1 IN ('x', 1)", "false cast@2");
    check("'b' > 'a'", "false cast@4");
    check("5 AND TRUE", "true");
    check("xor1 = 1", "false missingAttribute@0");
    // 32 bits.
    check("-2147483648", "-2147483648");
    check("big + 1", "0 math@4");
    check("-big - 2", "0 math@5");
    check("big * big", "0 math@4");
    check("-2147483648 / -1", "0 math@12");
    check("-2147483648 % -1", "0");
    check("--2147483648", "0 math@0");
    check("-7 / 2", "-3");
    check("-7 % 2", "-1");
    check("'2147483648' + 0", "0 cast@13");
    check("'+5' + 0", "5");
    check("' 5' + 0", "0 cast@5");
    check("'' = 0", "false cast@3");
}

#[test]
fn errors_and_their_values() {
    // The failing operator's own value counts only at the top.
    check("NOT 10", "true cast@0");
    check("NOT (NOT 10)", "false cast@5");
    check("ABS(-2147483648)", "2147483647 math@0");
    check("ABS(-2147483648) + 1", "0 math@0");
    check("CONCAT(LEFT('abc', -1), 'd')", "\"\" functionEvaluation@7");
    check("missing", "false missingAttribute@0");
    check("INT(missing)", "0 missingAttribute@4");
    check("missing AND FALSE", "false missingAttribute@0");
    check("FALSE AND missing", "false");
    check("TRUE OR missing", "true");
    check("TRUE XOR missing", "false missingAttribute@9");
    check("EXISTS missing OR EXISTS Amount", "true");
}

#[test]
fn texts_are_characters_and_not_bytes() {
    check("LENGTH(word)", "5");
    check("LEFT(word, 3)", "\"Grü\"");
    check("RIGHT(word, 2)", "\"ße\"");
    check("SUBSTRING(word, -3, 2)", "\"üß\"");
    check("SUBSTRING(word, 2, 0)", "\"\"");
    check("SUBSTRING(word, 2, -1)", "\"\" functionEvaluation@0");
    check("SUBSTRING(word, -2147483648)", "\"\" functionEvaluation@0");
    check("SUBSTRING(CONCAT(word, '!'), 5, 2147483647)", "\"e!\"");
    check("UPPER(word)", "\"GRÜSSE\"");
    check("lower('ÄB')", "\"äb\"");
    check("TRIM('\u{2003} a\t')", "\"a\"");
    check("TRIM(CONCAT(' ', word, ' '))", "\"Grüße\"");
    check("word LIKE 'Gr__e'", "true");
    check("CONCAT_WS('-', 1, TRUE, amount)", "\"1-true-11\"");
    check("IS_INT('12') AND NOT IS_INT(word) AND IS_BOOL('tRUE') AND NOT IS_BOOL('1')", "true");
    // A backslash is dropped only before the quote that ends the string.
    check(r"'it\'s \n \\'", r#""it's \\n \\\\""#);
    check(r#""it\'s \"""#, r#""it\\'s \"""#);
    check("'a\nb'", "\"a\\nb\"");
    check("\t1\r\n<>\n2", "true");
}

#[test]
fn texts_that_are_no_expression() {
    fn check(text: &str, at: usize, message: &str) {
        let error = Expression::parse(text).unwrap_err();
        let class = if message.contains("function") { ErrorClass::MissingFunction } else { ErrorClass::Parse };
        let class = if message.contains(" takes ") { ErrorClass::MissingFunction } else { class };
        assert_eq!((error.at, error.message.as_str(), error.class), (at, message, class), "{text}");
    }
    check("", 0, "expected a value, found the end of the expression");
    check("  ", 0, "expected a value, found the end of the expression");
    check("amount > ", 8, "expected a value, found the end of the expression");
    check("amount >> 1", 8, "expected a value, found `>`");
    check("a == 1", 3, "expected a value, found `=`");
    check("a = 1 b", 6, "expected an operator or the end of the expression, found `b`");
    check("a = 1)", 5, "expected an operator or the end of the expression, found `)`");
    check("a && b", 2, "expected an operator or the end of the expression, found `&`");
    check("'a' 'b'", 4, "expected an operator or the end of the expression, found a string");
    check("(a = 1", 6, "expected an operator or `)`, found the end of the expression");
    check("ABS(1", 5, "expected an operator, `,` or `)`, found the end of the expression");
    check("ABS(1,)", 6, "expected a value, found `)`");
    check("a NOT 1", 6, "expected LIKE or IN after NOT, found a number");
    check("a LIKE b", 7, "expected a pattern in quotes after LIKE, found `b`");
    check("a IN 1", 5, "expected `(`, found a number");
    check("a IN ()", 6, "expected a value, found `)`");
    check("EXISTS 'a'", 7, "expected the name of an attribute after EXISTS, found a string");
    check("EXISTS and", 7, "expected the name of an attribute after EXISTS, found AND");
    check("a = 'b", 4, "the string that begins here has no closing '");
    check("a = 'b\\'", 4, "the string that begins here has no closing '");
    check("ä = 1", 0, "expected a value, found `ä`");
    check("+a", 1, "expected digits right after `+`, found `a`");
    check("+ 1", 2, "expected digits right after `+`, found a number");
    check("2147483648", 0, "expected a number from -2147483648 to 2147483647");
    check("1 = -2147483649", 4, "expected a number from -2147483648 to 2147483647");
    check(
        "data = 'x'",
        0,
        "`data` is not the name of an event attribute: expected attributes, not what the event carries",
    );
    check("a_b = 1", 0, "`a_b` is not the name of an event attribute: expected a-z and 0-9 only");
    check("LEFT('a')", 0, "LEFT takes 2 arguments, found 1");
    check("1 + substring(1)", 4, "SUBSTRING takes 2 to 3 arguments, found 1");
    check("CONCAT_WS()", 0, "CONCAT_WS takes at least 1 arguments, found 0");
    check(
        "FOO(1)",
        0,
        "there is no function FOO: expected one of ABS, BOOL, CONCAT, CONCAT_WS, INT, IS_BOOL, IS_INT, LEFT, LENGTH, LOWER, RIGHT, STRING, SUBSTRING, TRIM, UPPER",
    );
}

/// What stands at a bound is read and evaluated on a small stack; one more is refused.
#[test]
fn bounds() {
    let nested = |open: &str, close: &str, n: usize| format!("{}TRUE{}", open.repeat(n), close.repeat(n));
    let texts = [("(", ")"), ("NOT ", ""), ("-", ""), ("BOOL(", ")"), ("TRUE IN (", ")"), ("1 + 1 = 1 AND 1 * (", ")")];
    for (open, close) in texts {
        let deep = nested(open, close, NESTING_MAX);
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        let run = move || Expression::parse(&deep).unwrap().refusal(&event()).is_some();
        small.spawn(run).unwrap().join().unwrap();
        let error = Expression::parse(&nested(open, close, NESTING_MAX + 1)).unwrap_err();
        assert_eq!(error.message, "the expression nests deeper than 64", "{open}");
    }
    for step in [" AND 1", "+1", " OR 1", "=1", " IN (1)", " LIKE '%'"] {
        let long = format!("1{}", step.repeat((EXPRESSION_BYTES_MAX - 1) / step.len()));
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        let run = move || Expression::parse(&long).unwrap().evaluate(&event()).error;
        assert_eq!(small.spawn(run).unwrap().join().unwrap(), None, "{step}");
    }
    let longest = format!("id={:1$}", "'7'", EXPRESSION_BYTES_MAX - 3);
    assert!(Expression::parse(&longest).unwrap().holds(&event()));
    let error = Expression::parse(&format!("{longest} ")).unwrap_err();
    assert_eq!(error.message, "the expression has 4097 bytes, expected at most 4096");
}

/// What multiplies the event's texts ends in an error, and what only looks costly does not.
#[test]
fn costs() {
    fn check(text: &str, expect: &str) {
        let long = "a".repeat(4 * 1024);
        let event = Event::builder().id("1").source("/s").ty("t").extension("a", long).build().unwrap();
        let expression = Expression::parse(text).unwrap();
        assert_eq!(shown(&expression.evaluate(&event)), expect, "{text}");
    }
    let mut copies = format!("CONCAT({}'')", "a,".repeat(250));
    check(&format!("LENGTH({copies})"), "1024000");
    for _ in 0..3 {
        copies = format!("LOWER({copies})");
    }
    check(&copies, "\"\" generic@6");
    // Each `%` could begin anywhere: a matcher that goes back takes years.
    check(&format!("a LIKE '{}b'", "%a".repeat(1_000)), "false");
    check(&format!("a LIKE '{}'", "%a".repeat(2_000)), "true");
    check(&format!("a LIKE '%{}b%'", "_".repeat(500)), "false");
    check(&format!("a LIKE '%{}b%'", "_".repeat(600)), "false generic@2");
    let term = "a LIKE '%b%' OR ";
    check(&format!("{}FALSE", term.repeat(250)), "false");
}

#[test]
fn patterns() {
    fn check(text: &str, pattern: &str, expect: bool) {
        assert_eq!(like::Pattern::new(pattern).matches(text), expect, "{text} LIKE {pattern}");
    }
    check("", "", true);
    check("a", "", false);
    check("", "%", true);
    check("", "%%", true);
    check("", "_", false);
    check("abc", "%", true);
    check("abc", "a%c", true);
    check("ac", "a%c", true);
    check("a", "a%a", false);
    check("aba", "ab%ba", false);
    check("abba", "ab%ba", true);
    check("mississippi", "m%iss%ip%i", true);
    check("mississippi", "%iss%iss%iss%", false);
    check("xayaz", "%a_", true);
    check("xayaz", "%_a_a_%", true);
    check("xayaz", "_%_%_%_%_%_", false);
    check("ü", "_", true);
    check("aü", "%_ü", true);
    check("100%", "100\\%", true);
    check("1000", "100\\%", false);
    check("a\\b", "a\\b", true);
    check("a\\%", "a\\\\%", true);
    check("a\\b", "a\\\\%", false);
    check("a\\", "a\\", true);
    check("A", "a", false);
}

/// What is true, what is not and why; texts stay borrowed.
#[test]
fn verdicts() {
    fn check(text: &str, expect: Option<&str>) {
        let (event, expression) = (event(), Expression::parse(text).unwrap());
        let refusal = expression.refusal(&event).map(|refusal| refusal.to_string());
        assert_eq!(refusal.as_deref(), expect, "{text}");
        assert_eq!(expression.holds(&event), expect.is_none(), "{text}");
    }
    check("amount > 10", None);
    check("amount > 11", Some("amount > 11"));
    check(" amount > 11 ", Some("amount > 11"));
    check("amount > 10 AND id = '7'", None);
    check("amount > 10 AND id = '8' AND missing = 1", Some("id = '8'"));
    check(
        "amount > 10 and\n (id = '8' OR\n missing = 1)",
        Some("(id = '8' OR  missing = 1): missingAttribute: the event has no attribute missing"),
    );
    check("amount - 11 AND TRUE", Some("amount - 11"));
    check("word AND TRUE", Some("word: cast: the String `Grüße` is not a Boolean (true or false)"));
    check("(amount > 10 AND id = '8')", Some("(amount > 10 AND id = '8')"));
    check("amount > 11 OR id = '8'", Some("amount > 11 OR id = '8'"));
    check("amount > 10 AND id = '8' OR FALSE", Some("amount > 10 AND id = '8' OR FALSE"));
    check("missing > 1", Some("missing > 1: missingAttribute: the event has no attribute missing"));
    check("1 / 0 = 1", Some("1 / 0 = 1: math: division by zero"));
    check("big + 1 = 1", Some("big + 1 = 1: math: the result is beyond 32 bits"));
    // An attribute alone is whatever its text says; everything else must be a Boolean.
    check("flag", None);
    check("word", Some("word: cast: the String `Grüße` is not a Boolean (true or false)"));
    check("amount", Some("amount: cast: the String `11` is not a Boolean (true or false)"));
    check("1", Some("1: cast: an Integer cannot stand where a Boolean (true or false) is needed"));
    let (event, expression) = (event(), Expression::parse("TRIM(LEFT(word, 4))").unwrap());
    assert!(matches!(expression.evaluate(&event).value, Value::String(std::borrow::Cow::Borrowed("Grüß"))));
}
