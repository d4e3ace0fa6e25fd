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

/// Measures.
pub(crate) async fn run() -> Table {
    let module = server::module();
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let (hello, wasm) = (Server::role(&["serve-hello"]), Server::role(&["serve-wasm", &module]));
    let wasmtime = Server::wasmtime(Path::new(&module));
    let node = start(&project).await;

    let mut contenders = vec![
        (Row::baseline("bare hyper"), hello.addr, hello.pid()),
        (Row::baseline("wasmtime-wasi-http"), wasm.addr, wasm.pid()),
    ];
    if let Some(wasmtime) = &wasmtime {
        contenders.push((Row::ours("wasmtime serve, its defaults"), wasmtime.addr, wasmtime.pid()));
    }
    contenders.push((Row::ours("weft, warm request"), node.http, node.pid()));

    let mut crowds = Vec::new();
    for (_, addr, _) in &contenders {
        let mut clients = Clients::connect(*addr, CLIENTS, ask, 200).await;
        clients.run(WARM_UP).await;
        crowds.push(clients);
    }
    for _ in 0..ROUNDS {
        for ((row, _, pid), clients) in contenders.iter_mut().zip(&mut crowds) {
            row.samples.push(Sample::round(clients, *pid).await);
        }
    }
    let mut notes =
        vec![format!("{CLIENTS} connections; the guest is examples/hello, a fresh store for each request.")];
    if wasmtime.is_none() {
        notes.push("No real `wasmtime serve` beside it: none in WASMTIME or PATH.".to_owned());
    }
    let rows = contenders.into_iter().map(|(row, ..)| row).collect();
    Table { title: "warm request", unit: "requests", rows, notes }
}

fn ask(request: &mut Vec<u8>, _: u64) {
    request.extend_from_slice(b"GET / HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
}
