//! Where documents are cut, and what plain scalars read as.

use super::*;

#[test]
fn documents_are_cut_at_markers() {
    fn check(text: &str, expect: &[(u32, &str)]) {
        assert_eq!(documents(text), expect, "{text:?}");
    }
    check("", &[]);
    check("# nothing\n\n---\n---\n...\n", &[]);
    check("a: 1", &[(1, "a: 1")]);
    check("a: 1\n---\nb: 1\n", &[(1, "a: 1\n"), (2, "---\nb: 1\n")]);
    check("---\r\na: 1\r\n---\r\nb: 1\r\n", &[(1, "---\r\na: 1\r\n"), (3, "---\r\nb: 1\r\n")]);
    check("--- {a: 1}\n--- # two\nb: 1\n", &[(1, "--- {a: 1}\n"), (2, "--- # two\nb: 1\n")]);
    check("a: 1\n...\n# end\n", &[(1, "a: 1\n...\n")]);
    check("a: |\n  ---\n ---\n---x: 1\n", &[(1, "a: |\n  ---\n ---\n---x: 1\n")]);
    check("\u{feff}a: 1", &[(1, "a: 1")]);
    check("%YAML 1.2\n---\na: 1", &[(2, "---\na: 1")]);
}

#[test]
fn scalars() {
    fn check(text: &str, expect: Value) {
        let Value::Map(entries) = read(&format!("k: {text}\n")).unwrap().value else { panic!() };
        assert_eq!(entries[0].node.value, expect, "{text}");
    }
    let text = |text: &str| Value::Text(text.to_owned());
    check("", Value::Null);
    check("~", Value::Null);
    check("true", Value::Bool(true));
    for word in ["yes", "on", "y", "30s", "1_000", "0755", "1:30", ".nan", "12ab"] {
        check(word, text(word));
    }
    check("12", Value::Integer(12));
    check("-12", Value::Integer(-12));
    check("18446744073709551615", Value::Integer(u64::MAX.into()));
    check("1.5", Value::Float(1.5));
    check("'12'", text("12"));
    check("\"a\\nb\"", text("a\nb"));
    check("'null'", text("null"));
}
