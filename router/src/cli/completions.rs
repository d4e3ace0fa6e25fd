//! `weft completions`: the completion script of a shell, generated from the same definitions as the parser and the
//! help.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, terminal};

/// `weft completions SHELL`
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell; for bash: source <(weft completions bash)
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "weft", &mut script);
    terminal::write(&script)?;
    Ok(ExitCode::SUCCESS)
}
