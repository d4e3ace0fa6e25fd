//! `weft check`: every mistake in manifests, offline.
//!
//! Knows no node: what it says depends on nothing but the files below the path.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use weft_functions::manifest::{Kind, Problem, Resource, SourceFile, check_references, parse};

use super::{Global, manifests, mistakes, modules, terminal};

/// `weft check PATH`
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// A manifest or a folder of manifests
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let sources = manifests::read(&args.path)?;
    match check(&sources) {
        Err(problems) => mistakes::ours(&problems, global),
        Ok(_) if global.json() => {
            terminal::say_json(&json!({ "errors": [] }))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(resources) => {
            terminal::say(&summary(&resources))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The resources, or every mistake: first what single documents say, then what they say of each other and of files.
fn check(sources: &[SourceFile]) -> Result<Vec<Resource>, Vec<Problem>> {
    let resources = parse(sources)?;
    let mut problems = check_references(&resources);
    problems.extend(modules::named(&resources).err().unwrap_or_default());
    if problems.is_empty() {
        return Ok(resources);
    }
    problems.sort_by(|a, b| a.location.cmp(&b.location));
    Err(problems)
}

/// `2 functions, 1 topic: no mistakes`
fn summary(resources: &[Resource]) -> String {
    let count = |kind: Kind| match resources.iter().filter(|resource| resource.kind() == kind).count() {
        0 => None,
        1 => Some(format!("1 {}", kind.singular())),
        several => Some(format!("{several} {}", kind.plural())),
    };
    let counted: Vec<_> = Kind::ALL.into_iter().filter_map(count).collect();
    if counted.is_empty() {
        "no resources: no mistakes".to_owned()
    } else {
        format!("{}: no mistakes", counted.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: orders }\nspec: {}\n";
    const TRIGGER: &str = "apiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: { name: bill }\nspec: { topic: orders, url: \"https://bank.example/\" }\n";

    #[test]
    fn what_is_right_is_counted() {
        let check = |texts: &[&str], expect: &str| {
            let source = SourceFile::new("app.yaml", texts.join("---\n"));
            assert_eq!(summary(&super::check(&[source]).unwrap()), expect);
        };
        check(&[TOPIC], "1 topic: no mistakes");
        check(&[TRIGGER, TOPIC], "1 topic, 1 trigger: no mistakes");
        check(&[TOPIC, &TOPIC.replace("orders", "invoices")], "2 topics: no mistakes");
        check(&["# only a comment\n"], "no resources: no mistakes");
    }

    #[test]
    fn what_is_wrong_is_all_said_in_the_order_of_the_files() {
        let function = "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: billing }\nspec: { module: ./none.wasm }\n";
        let source = SourceFile::new("/nowhere/app.yaml", [function, TRIGGER].join("---\n"));
        let problems = super::check(&[source]).unwrap_err();
        let said: Vec<_> = problems.iter().map(|problem| (problem.location.line, problem.path.as_str())).collect();
        assert_eq!(said, [(4, "spec.module"), (9, "spec.topic")]);
    }
}
