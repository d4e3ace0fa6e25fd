//! `weft replay`: a trigger gets events of the past once more.

use std::process::ExitCode;

use super::Global;
use super::job::{self, Begin};
use super::tail::position;

/// `weft replay TRIGGER`
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// The trigger's name, or NAMESPACE/NAME
    trigger: String,
    /// Where to begin: beginning, a sequence, or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "WHERE", value_parser = position)]
    from: String,
    /// Where to end, exclusive: end, a sequence, or a time
    #[arg(long, value_name = "WHERE", default_value = "end", value_parser = position)]
    to: String,
    #[command(flatten)]
    begin: Begin,
}

pub(super) async fn run(args: &ReplayArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let trigger = global.target(&args.trigger)?;
    let mut ask = args.begin.ask()?;
    ask["from"] = args.from.as_str().into();
    ask["to"] = args.to.as_str().into();
    job::begin("replay", &trigger, &ask, args.begin.wait, global).await
}
