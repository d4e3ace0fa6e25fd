//! What is measured: a module for each group of rows.

pub(crate) mod cold;
pub(crate) mod deliver;
pub(crate) mod http;
pub(crate) mod mesh;
pub(crate) mod publish;

use weft_tests::{Node, Project};

use crate::server;

/// Starts a node on a project, on the processor of what is measured.
async fn start(project: &Project) -> Node {
    let node = project.start().await;
    server::pin(node.pid());
    node
}

/// An event of 1 KiB in binary mode, to the topic `bench`.
fn event(request: &mut Vec<u8>, number: u64) {
    let head = format!(
        "POST /topics/default/bench HTTP/1.1\r\nhost: 127.0.0.1\r\nce-specversion: 1.0\r\nce-id: {number}\r\n\
         ce-source: /bench\r\nce-type: bench.made\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        crate::disk::BODY
    );
    request.extend_from_slice(head.as_bytes());
    request.resize(request.len() + crate::disk::BODY, b'x');
}
