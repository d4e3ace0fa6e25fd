//! Mistakes in manifests, as a person or a program reads them.
//!
//! Separate because they come from two places, our own reading of the files and the node's, and must look the same.

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use weft_functions::manifest::Problem;

use super::{Global, failure, terminal};

/// What a program learns of a mistake (face.md); `rendered` is for people.
const KEYS: [&str; 6] = ["file", "line", "column", "path", "code", "message"];

/// Prints mistakes that were found here, and answers the exit code of bad content.
pub(super) fn ours(problems: &[Problem], global: &Global) -> anyhow::Result<ExitCode> {
    if global.json() {
        terminal::say_json(&json!({ "errors": problems }))?;
    } else {
        let colour = terminal::colour_of_errors();
        print(&problems.iter().map(|problem| problem.render(colour)).collect::<Vec<_>>());
    }
    Ok(ExitCode::from(failure::FAILED))
}

/// Prints mistakes that the node found, and answers the exit code of bad content.
pub(super) fn of_the_node(errors: &[Value], global: &Global) -> anyhow::Result<ExitCode> {
    if global.json() {
        terminal::say_json(&json!({ "errors": errors.iter().map(for_programs).collect::<Vec<_>>() }))?;
    } else {
        print(&errors.iter().map(for_people).collect::<Vec<_>>());
    }
    Ok(ExitCode::from(failure::FAILED))
}

fn print(rendered: &[String]) {
    for mistake in rendered {
        terminal::note(&format!("{mistake}\n"));
    }
    terminal::note(&match rendered.len() {
        1 => "1 mistake".to_owned(),
        count => format!("{count} mistakes"),
    });
}

fn for_programs(error: &Value) -> Value {
    let known = |key: &str| Some((key.to_owned(), error.get(key)?.clone()));
    Value::Object(KEYS.into_iter().filter_map(known).collect::<Map<_, _>>())
}

fn for_people(error: &Value) -> String {
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let rendered = text("rendered").or_else(|| text("message")).unwrap_or("a mistake without a message");
    terminal::harmless_lines(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_node_is_cut_to_what_the_contract_says() {
        let error = json!({"file": "app.yaml", "line": 3, "column": 5, "path": "spec.modul", "code": "unknown_key",
            "message": "unknown key", "rendered": "app.yaml:3:5: unknown key\n 3 | modul: \u{1b}[2J"});
        let expect = json!({"file": "app.yaml", "line": 3, "column": 5, "path": "spec.modul", "code": "unknown_key",
            "message": "unknown key"});
        assert_eq!(for_programs(&error), expect);
        assert_eq!(for_people(&error), "app.yaml:3:5: unknown key\n 3 | modul: \\u{1b}[2J");
        assert_eq!(for_people(&json!({"message": "short"})), "short");
    }
}
