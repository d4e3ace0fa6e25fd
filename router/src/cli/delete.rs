//! `weft delete`: a resource goes.

use std::process::ExitCode;

use weft_functions::manifest::Kind;

use super::{Global, get, terminal};

/// `weft delete KIND NAME`
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// function, topic, trigger, policy, namespace or issuer
    #[arg(value_parser = get::kind)]
    kind: Kind,
    /// The resource's name, or NAMESPACE/NAME
    name: String,
}

pub(super) async fn run(args: &DeleteArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let target = global.named(args.kind, &args.name)?;
    let admin = global.client()?;
    let what = format!("deleting {} {target}", args.kind.singular());
    let changed = terminal::with_spinner(&what, admin.delete(args.kind, &target)).await?;
    if global.json() {
        terminal::say_json(&changed)?;
    } else {
        terminal::say(&format!("deleted {} {target}", args.kind.singular()))?;
    }
    Ok(ExitCode::SUCCESS)
}
