//! Tables in READMEs say what the code says, and name nothing that is gone.

use std::collections::BTreeSet;
use std::fs;

use super::none;
use super::source::sources;

fn read(path: &str) -> String {
    let whole = weft_tests::modules::root().join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path}: {error}: write it"))
}

/// The rows of all tables, each as its cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
    text.lines().filter(|line| line.starts_with("| ")).map(row).collect()
}

/// Every reason with its status, verdict and title, in the order of the code.
fn reasons() -> Vec<Vec<String>> {
    let code = read("router/src/path/outcome.rs");
    let table =
        code.split_once("\nreasons! {").and_then(|(_, rest)| rest.split_once("\n}")).expect("the table of reasons");
    let lines = table.0.lines().filter(|line| line.trim_end().ends_with(';'));
    let reason = |line: &str| {
        let mut quoted = line.split('"');
        let (_, code, middle, title) = (quoted.next(), quoted.next(), quoted.next(), quoted.next());
        let mut words = middle.expect("a status").split_whitespace();
        let (status, verdict) = (words.next().expect("a status"), words.next().expect("a verdict"));
        let verdict = if verdict == "NoRoute" { "no_route".to_owned() } else { verdict.to_lowercase() };
        vec![code.expect("a code").to_owned(), status.to_owned(), verdict, title.expect("a title").to_owned()]
    };
    lines.map(reason).collect()
}

#[test]
fn reason_codes_are_those_of_the_table() {
    let known = reasons();
    assert!(known.len() > 20, "only {} reasons were read from outcome.rs", known.len());
    let shouted = |cell: &String| cell.contains('_') && cell.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let table: Vec<_> = rows(&read("router/README.md"))
        .into_iter()
        .filter(|row| row.len() == 4 && (shouted(&row[0]) || known.iter().any(|reason| reason[0] == row[0])))
        .collect();
    let mut complaints = Vec::new();
    for reason in &known {
        if !table.contains(reason) {
            let [code, status, verdict, title] = reason.as_slice() else { panic!("{reason:?}") };
            complaints.push(format!("router/README.md lacks the row: | `{code}` | {status} | {verdict} | {title} |"));
        }
    }
    for row in table.iter().filter(|row| !known.contains(row)) {
        complaints.push(format!("router/README.md has a row that path/outcome.rs has not: {}", row.join(" | ")));
    }
    none(complaints);
    assert_eq!(table, known, "router/README.md: keep the order of path/outcome.rs");
}

#[test]
fn codes_of_mistakes_are_those_of_the_table() {
    let code = read("functions/src/manifest/problem.rs");
    let arms = code.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let known: Vec<_> = arms.filter_map(|(_, word)| word.split('"').next().map(str::to_owned)).collect();
    assert!(known.len() > 8, "only {known:?} were read from problem.rs");
    let table: Vec<_> = rows(&read("functions/README.md")).into_iter().map(|row| row[0].clone()).collect();
    let missing = known.iter().filter(|code| !table.contains(code));
    none(missing.map(|code| format!("functions/README.md lacks a row for the code `{code}`: add it")).collect());
}

#[test]
fn every_metric_is_in_the_readme() {
    let code = read("router/src/telemetry/metrics.rs");
    let families: BTreeSet<_> = code.split('"').filter(|text| text.starts_with("weft_")).map(str::to_owned).collect();
    assert!(families.len() >= 8, "only {families:?} were read from metrics.rs");
    let readme = read("router/README.md");
    let missing = families.iter().filter(|family| !readme.contains(family.as_str()));
    none(missing.map(|family| format!("router/README.md does not name the metric {family}: add it")).collect());
}

#[test]
fn all_limits_stand_in_one_table() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Limits\n").expect("README.md has no section `## Limits`: write it");
    let section = section.split("\n## ").next().unwrap_or_default();
    assert!(rows(section).len() > 15, "README.md: the table of limits has {} rows", rows(section).len());
}

#[test]
fn readmes_name_no_file_that_is_gone() {
    let paths: Vec<_> = sources().iter().map(|file| file.path.as_str()).collect();
    let mut complaints = Vec::new();
    for folder in ["", "functions/", "functions/sdk/", "runtime/", "router/", "router/eventlog/", "tests/"] {
        let readme = format!("{folder}README.md");
        let text = read(&readme);
        for name in
            text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && !name.contains([' ', '<', '*']))
        {
            let exists = paths
                .iter()
                .any(|path| path.starts_with(folder) && (path.ends_with(&format!("/{name}")) || *path == name));
            if !exists {
                complaints.push(format!("{readme} names `{name}`, which is not there: correct it"));
            }
        }
    }
    none(complaints);
}
