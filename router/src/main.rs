//! The binary `weft`: hands the words that were typed to the command line and the answer to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    weft_router::cli::main()
}
