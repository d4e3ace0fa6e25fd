//! Mistakes inside the texts of expressions, in each form that YAML has for a text.

use super::{check, trigger};

/// An expression is faulted where it fails, however it is written down.
#[test]
fn expressions_in_triggers() {
    fn check_at(cesql: &str, expect: &str) {
        check(&trigger(&format!("\n  topic: a\n  function: f\n  filters:\n  - cesql: {cesql}\n")), &[expect]);
    }
    fn expected(place: &str, character: usize, what: &str) -> String {
        format!("{place} bad_value spec.filters[0].cesql: `spec.filters[0].cesql`, character {character}: {what}")
    }
    let value = "expected a value, found `)`";
    check_at("amount > )", &expected("8:21", 10, value));
    check_at("\"id = 'a' AND )\"", &expected("8:26", 14, value));
    check_at("'id = ''a'' AND )'", &expected("8:28", 14, value));
    check_at(r#""id = \"ä\" AND )""#, &expected("8:28", 14, value));
    check_at("|\n      id = 'ä' AND\n        amount > )\n", &expected("10:18", 25, value));
    check_at(
        "|\n      id = 'ä' AND\n        amount >\n",
        &expected("10:17", 24, "expected a value, found the end of the expression"),
    );
    check_at(">-\n      id = 'a' AND )\n", &expected("9:20", 14, value));
    // Lines that are folded stand elsewhere in the text: the place is where the text begins.
    check_at(">\n      id = 'a'\n      AND )\n", &expected("9:7", 14, value));
    check_at("id = 'a'\n      AND )\n", &expected("8:12", 14, value));
    check_at(r#""id = '\u0061' AND )""#, &expected("8:12", 14, value));
    check_at(
        "FOO(1) = 1",
        &expected(
            "8:12",
            1,
            "there is no function FOO: expected one of ABS, BOOL, CONCAT, CONCAT_WS, INT, IS_BOOL, IS_INT, LEFT, LENGTH, LOWER, RIGHT, STRING, SUBSTRING, TRIM, UPPER",
        ),
    );
    check_at(
        "LENGTH(subject)",
        &expected("8:12", 1, "the result is of type Integer, expected Boolean: compare it with something"),
    );
    check_at(
        "5",
        "8:12 wrong_type spec.filters[0].cesql: `spec.filters[0].cesql` must be text: quote it, found the number 5",
    );
}
