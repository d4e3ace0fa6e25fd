//! `weft check`: every mistake in manifests and in settings files of `weft serve`, offline.
//!
//! Knows no node: what it says depends on nothing but the files below the path.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use weft_functions::manifest::{Kind, Problem, Resource, SourceFile, check_references, parse};

use super::{Global, manifests, mistakes, modules, terminal};
use crate::config;
use crate::config::file::is_settings;

/// `weft check PATH`
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// A manifest, a folder of manifests, or a settings file of `weft serve`
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let sources = manifests::read(&args.path)?;
    let (settings, manifests): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| is_settings(&source.text));
    let mut problems = mistakes_in(&settings);
    let resources = match check(&manifests) {
        Ok(resources) => resources,
        Err(found) => {
            problems.extend(found);
            Vec::new()
        }
    };
    if !problems.is_empty() {
        return mistakes::ours(&problems, global);
    }
    if global.json() {
        terminal::say_json(&json!({ "errors": [] }))?;
    } else {
        terminal::say(&summary(&resources, settings.len()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Of settings files, whose paths are not looked at: they are another machine's, perhaps.
fn mistakes_in(settings: &[SourceFile]) -> Vec<Problem> {
    let parse = |source: &SourceFile| config::file::parse(source, Path::new("/"));
    settings.iter().filter_map(|source| parse(source).err()).flatten().collect()
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
fn summary(resources: &[Resource], settings: usize) -> String {
    let count = |kind: Kind| match resources.iter().filter(|resource| resource.kind() == kind).count() {
        0 => None,
        1 => Some(format!("1 {}", kind.singular())),
        several => Some(format!("{several} {}", kind.plural())),
    };
    let settings = match settings {
        0 => None,
        1 => Some("1 settings file".to_owned()),
        several => Some(format!("{several} settings files")),
    };
    let counted: Vec<_> = Kind::ALL.into_iter().filter_map(count).chain(settings).collect();
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
            assert_eq!(summary(&super::check(&[source]).unwrap(), 0), expect);
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
