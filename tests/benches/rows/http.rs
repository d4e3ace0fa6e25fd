//! A warm request: bare hyper, functions without a mesh, and weft.

use std::path::Path;

use weft_tests::{Project, manifest};

use super::start;
use crate::measure::{ROUNDS, Sample, WARM_UP};
use crate::server::{self, Server};
use crate::table::{Row, Table};
use crate::wire::Clients;

/// Connections kept alive, each with one request at a time.
const CLIENTS: usize = 64;

/// Ways in which a real `wasmtime serve` runs. What stands in the second is what was found best for fresh instances: what
/// weft itself sets, as far as `serve` has a flag for it.
const WASMTIME: [(&str, &[&str]); 3] = [
    ("wasmtime serve, its defaults", &[]),
    (
        "wasmtime serve, its best",
        &[
            "-Opooling-allocator=y",
            "-Opooling-memory-keep-resident=524288",
            "-Opooling-table-keep-resident=65536",
            "-Opooling-async-stack-keep-resident=65536",
            "-Opooling-max-unused-warm-slots=100",
            "-Opooling-pagemap-scan=auto",
            "-Omemory-init-cow=y",
        ],
    ),
    ("wasmtime serve, reuse 1,000", &["-Opooling-allocator=y", "--max-instance-reuse-count=1000"]),
];

/// Measures.
pub(crate) async fn run() -> Table {
    let module = server::module();
    let shared = manifest::function("shared", "hello", "isolation: revision");
    let project = Project::new(&(manifest::function("hello", "hello", "") + &shared));
    let (hello, wasm) = (Server::role(&["serve-hello"]), Server::role(&["serve-wasm", &module]));
    let wasmtime = WASMTIME.map(|(name, flags)| (name, Server::wasmtime(flags, Path::new(&module))));
    let node = start(&project).await;

    let mut contenders = vec![
        (Row::baseline("bare hyper"), hello.addr, hello.pid(), "hello"),
        (Row::baseline("wasmtime-wasi-http"), wasm.addr, wasm.pid(), "hello"),
    ];
    for (name, server) in &wasmtime {
        contenders.extend(server.as_ref().map(|server| (Row::ours(name), server.addr, server.pid(), "hello")));
    }
    contenders.push((Row::ours("weft, warm request"), node.http, node.pid(), "hello"));
    contenders.push((Row::ours("weft, isolation: revision"), node.http, node.pid(), "shared"));

    let mut crowds = Vec::new();
    for (_, addr, _, name) in &contenders {
        let request = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\n\r\n");
        let ask = move |bytes: &mut Vec<u8>, _| bytes.extend_from_slice(request.as_bytes());
        let mut clients = Clients::connect(*addr, CLIENTS, ask, 200).await;
        clients.run(WARM_UP).await;
        crowds.push(clients);
    }
    for _ in 0..ROUNDS {
        for ((row, _, pid, _), clients) in contenders.iter_mut().zip(&mut crowds) {
            row.samples.push(Sample::round(clients, *pid).await);
        }
    }
    let mut notes = vec![format!(
        "{CLIENTS} connections; the guest is examples/hello, a fresh store for each request where nothing else is said."
    )];
    if wasmtime.iter().any(|(_, server)| server.is_none()) {
        notes.push("No real `wasmtime serve` beside it: none in WASMTIME or PATH.".to_owned());
    }
    let rows = contenders.into_iter().map(|(row, ..)| row).collect();
    Table { title: "warm request", unit: "requests", rows, notes }
}
