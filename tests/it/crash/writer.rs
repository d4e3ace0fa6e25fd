//! A writer: publishes one event after the other on a connection of its own, as fast as the node answers, until it does
//! not answer any more; and keeps what it was told.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::event::Id;

/// What one request asked the node to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// An event, or one with a mistake.
    Event,
    /// An event that was accepted, with another payload.
    Forgery,
}

/// What the node said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 202; the sequence if the body came whole.
    Accepted { sequence: Option<u64>, duplicate: bool },
    /// A status from 400 to 499: it is not kept.
    Refused(u16),
    /// None, or a status from 500: it may be kept or not.
    Unknown,
}

/// One request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) id: Id,
    pub(super) what: What,
    pub(super) answer: Answer,
}

/// A writer and what it has to remember between two nodes.
pub(super) struct Writer {
    name: u64,
    next: u64,
    /// The event that the last node did not answer.
    open: Option<Id>,
}

impl Writer {
    pub(super) fn new(name: u64) -> Self {
        Self { name, next: 0, open: None }
    }

    /// Publishes to the node until it no longer answers. Adds a permit to `accepted` for each 202.
    pub(super) async fn run(&mut self, node: SocketAddr, accepted: Arc<Semaphore>) -> Vec<Sent> {
        let mut history = Vec::new();
        let Some(mut sender) = connect(node).await else { return history };
        loop {
            let id = self.take();
            let answer = publish(&mut sender, node, id, id.payload()).await;
            history.push(Sent { id, what: What::Event, answer });
            match answer {
                Answer::Unknown => {
                    self.open = Some(id);
                    return history;
                }
                Answer::Accepted { .. } => accepted.add_permits(1),
                Answer::Refused(_) => {}
            }
            if id.is_forged() {
                let other = [id.payload().as_slice(), b"forged"].concat();
                let answer = publish(&mut sender, node, id, other).await;
                history.push(Sent { id, what: What::Forgery, answer });
                if answer == Answer::Unknown {
                    return history;
                }
            }
        }
    }

    /// The next event. Of the events that were not answered, every other one is sent again: a client that repeats gets
    /// one event, and one that gives up gets one or none.
    fn take(&mut self) -> Id {
        if let Some(open) = self.open.take().filter(|open| open.number % 4 < 2) {
            return open;
        }
        self.next += 1;
        Id { writer: self.name, number: self.next }
    }
}

async fn connect(node: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(node).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

async fn publish(sender: &mut SendRequest<Full<Bytes>>, node: SocketAddr, id: Id, payload: Vec<u8>) -> Answer {
    let mut request = Request::post("/topics/default/events").header("host", node.to_string());
    for (name, value) in id.headers() {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(payload.into())).expect("a request");
    let Ok(response) = sender.send_request(request).await else { return Answer::Unknown };
    let status = response.status();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match status {
        // The promise is made by the head; a body that broke off takes nothing of it back.
        StatusCode::ACCEPTED => {
            let receipt: Value = serde_json::from_slice(&body).unwrap_or_default();
            let line = &receipt["accepted"][0];
            let sequence = line["sequence"].as_str().and_then(|text| text.parse().ok());
            Answer::Accepted { sequence, duplicate: line["duplicate"] == true }
        }
        status if status.is_client_error() => Answer::Refused(status.as_u16()),
        _ => Answer::Unknown,
    }
}
