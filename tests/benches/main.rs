//! How fast is it, beside what else one could do: `tests/bench [ROW…]` with the rows `http`, `mesh`, `cold`, `publish`, `deliver`.
//!
//! Every number stands beside a baseline that was measured in the same run, in alternating rounds, on the same machine;
//! what counts is the ratio, and the server's processor time for each operation. The load generator is [`wire`], on a
//! processor of its own. This program is also the servers it compares with: it starts itself with a role.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on ends here")]

mod baseline;
mod disk;
mod hello;
mod measure;
mod rows;
mod server;
mod table;
mod tls;
mod wire;

use std::path::Path;

/// All rows in the order they run.
const ROWS: [&str; 5] = ["http", "mesh", "cold", "publish", "deliver"];

fn main() {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Several threads, as many as there are processors to run on: every program here, the node too, decides that alike.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match words.as_slice() {
        ["serve-hello"] => runtime.block_on(hello::serve()),
        ["serve-hello-tls", folder] => runtime.block_on(hello::serve_tls(Path::new(folder))),
        ["serve-wasm", module] => runtime.block_on(baseline::serve(Path::new(module), false)),
        ["serve-wasm-cold", module] => runtime.block_on(baseline::serve(Path::new(module), true)),
        ["append-log", dir, writers] => {
            println!("{}", runtime.block_on(disk::eventlog(Path::new(dir), writers.parse().expect("a number"))));
        }
        ["append-file", dir, group] => println!("{}", disk::file(Path::new(dir), group.parse().expect("a number"))),
        rows => runtime.block_on(run(rows)),
    }
}

async fn run(asked: &[&str]) {
    if let Some(unknown) = asked.iter().find(|row| !ROWS.contains(row)) {
        panic!("no row {unknown}; there are {ROWS:?}");
    }
    println!("{}", table::how());
    for row in ROWS.into_iter().filter(|row| asked.is_empty() || asked.contains(row)) {
        let tables = match row {
            "http" => vec![rows::http::run().await],
            "mesh" => vec![rows::mesh::run().await],
            "cold" => vec![rows::cold::run().await],
            "publish" => rows::publish::run().await,
            _ => vec![rows::deliver::run().await],
        };
        tables.iter().for_each(|table| println!("{table}"));
    }
}
