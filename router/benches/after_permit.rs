//! `weft serve` with a text behind every function's name, given as soon as policy permits: what identity, routing, policy
//! and the record of a call cost without a function. A program of its own, because `weft` has no way to ask for that;
//! `tests/bench` runs it beside the others.

use std::path::Path;
use std::process::ExitCode;

use mimalloc::MiMalloc;
use weft_router::cli::serve;
use weft_router::targets::backend::Backend;

/// As long as what `examples/hello` answers.
const TEXT: &str = "hello from weft\nyou are spiffe://weft.local/ns/default/sa/bench\n";

/// As in `weft`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ["serve", "--config", config] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        eprintln!("this is a server for tests/bench: after-permit serve --config FILE");
        return Ok(ExitCode::SUCCESS);
    };
    serve::serve_with(Path::new(config), Backend::Text(TEXT))
}
