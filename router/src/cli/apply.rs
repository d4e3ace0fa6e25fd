//! `weft apply`: manifests become what the mesh should be, all or nothing.
//!
//! The files are read and checked here (the node has no access to them), modules are sent, and the node decides.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;
use weft_functions::manifest::{SourceFile, parse};

use super::client::{ApplyRequest, ClientError, Document};
use super::{Global, manifests, mistakes, modules, payload, resource, table, terminal};

/// `weft apply -f PATH|- [--dry-run]`
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A manifest, a folder of manifests, or - for standard input
    #[arg(short, long, value_name = "PATH|-")]
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &ApplyArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let sources = read(args).await?;
    let resources = match parse(&sources) {
        Ok(resources) => resources,
        Err(problems) => return mistakes::ours(&problems, global),
    };
    let named = match modules::named(&resources) {
        Ok(named) => named,
        Err(problems) => return mistakes::ours(&problems, global),
    };
    let admin = global.client()?;
    let modules = modules::upload(&admin, &named).await?;
    let request = ApplyRequest { documents: documents(&sources), modules, dry_run: args.dry_run };
    match terminal::with_spinner(&waiting_for(resources.len()), admin.apply(&request)).await {
        Ok(applied) => print(&applied, args.dry_run, global),
        Err(ClientError::Mistakes(errors)) => mistakes::of_the_node(&errors, global),
        Err(error) => Err(error.into()),
    }
}

async fn read(args: &ApplyArgs) -> anyhow::Result<Vec<SourceFile>> {
    if args.file.as_os_str() == "-" {
        Ok(vec![manifests::from_stdin(payload::read_stdin().await?.into())?])
    } else {
        manifests::read(&args.file)
    }
}

fn documents(sources: &[SourceFile]) -> Vec<Document> {
    sources.iter().map(|source| Document { file: source.name.to_string(), text: source.text.to_string() }).collect()
}

fn waiting_for(resources: usize) -> String {
    match resources {
        1 => "applying 1 resource".to_owned(),
        count => format!("applying {count} resources"),
    }
}

fn print(applied: &Value, dry_run: bool, global: &Global) -> anyhow::Result<ExitCode> {
    if global.json() {
        terminal::say_json(applied)?;
    } else {
        let rows = rows(applied);
        if rows.is_empty() {
            terminal::note("no resources in these manifests");
        } else {
            terminal::say(&table::render(&["CHANGE", "KIND", "NAMESPACE", "NAME", "REVISION"], &rows))?;
        }
        if dry_run {
            terminal::note("dry run: nothing was changed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for each change, as the node ordered them.
fn rows(applied: &Value) -> Vec<Vec<String>> {
    let changes = applied.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pointers = ["/change", "/kind", "/namespace", "/name", "/revision"];
    changes.iter().map(|change| pointers.map(|pointer| resource::cell(change, pointer)).into()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_a_table() {
        let applied = json!({"snapshot": 13, "dryRun": false, "changes": [
            {"change": "changed", "kind": "Function", "namespace": "default", "name": "billing", "revision": "billing-00002"},
            {"change": "unchanged", "kind": "Topic", "namespace": "default", "name": "orders"},
        ]});
        let expect = "\
CHANGE      KIND       NAMESPACE   NAME      REVISION
changed     Function   default     billing   billing-00002
unchanged   Topic      default     orders    -";
        assert_eq!(table::render(&["CHANGE", "KIND", "NAMESPACE", "NAME", "REVISION"], &rows(&applied)), expect);
        assert!(rows(&json!({})).is_empty());
    }
}
