//! The binary `weft`: hands the words that were typed to the command line and the answer to the shell.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// For all of the process, so it is chosen here and not in the library.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    weft_router::cli::main()
}
