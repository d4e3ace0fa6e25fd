//! The five ways in which a caller reaches a target. Each sends what a client sends and checks what a client sees of it;
//! what the node recorded is looked at next door.

use std::fmt;
use std::net::SocketAddr;

use serde_json::{Value, json};
use weft_tests::events::STRUCTURED;
use weft_tests::serve::DOMAIN;
use weft_tests::{Answer, Ask, Workload};

use super::difference::Difference;
use super::mesh::{CARRIER, OPEN, event_type, questions};
use super::table::{Caller, Target};

/// A way to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// An HTTP request to the function.
    Request,
    /// An event published to the topic.
    Publish,
    /// An event published elsewhere, which a trigger delivers to the function.
    Deliver,
    /// A call of the caller's function to the function.
    Call,
    /// An event with which the caller's function replies, which a trigger publishes to the topic.
    Reply,
}

impl Path {
    pub(super) const ALL: [Self; 5] = [Self::Request, Self::Publish, Self::Deliver, Self::Call, Self::Reply];

    /// The verb that policy is asked about, which is the label too.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Request | Self::Call => "request",
            Self::Publish | Self::Reply => "publish",
            Self::Deliver => "deliver",
        }
    }
}

/// One row: somebody, and what they want to reach.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) caller: Caller,
    /// The caller with a certificate.
    pub(super) workload: &'a Workload,
    pub(super) target: &'a Target,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, function) = self.caller;
        write!(f, "{namespace}/{function} -> {}", self.target.full())
    }
}

impl Row<'_> {
    /// Goes one way. `None` if what the client saw is right; events that travel on are accepted whatever becomes of them.
    pub(super) async fn go(&self, path: Path, to: SocketAddr, allowed: bool) -> Option<Difference> {
        let answer = self.send(path, to).await;
        let expect = match path {
            Path::Deliver | Path::Reply => (202, None),
            _ if !allowed => (403, Some("AUTHZ_DENIED".to_owned())),
            Path::Publish => (202, None),
            Path::Request | Path::Call => (200, None),
        };
        let code = match path {
            // The body is the inner call's, the head the outer one's.
            Path::Call if answer.status == 403 => answer.json()["code"].as_str().map(str::to_owned),
            _ => answer.code(),
        };
        let (name, way) = (self.to_string(), format!("{path:?}"));
        let place = (&*name, &*way);
        let wrong = Difference::between(place, "answer", &expect, &(answer.status, code));
        if wrong.is_some() || !allowed || !matches!(path, Path::Request | Path::Call) {
            return wrong;
        }
        // The function saw who called and who began.
        let (id, seen) = (Value::from(&*self.workload.id), answer.json());
        let seen = [&seen["principal"], &seen["origin"]];
        Difference::between(place, "principal and origin that the function saw", &[&id, &id], &seen)
    }

    async fn send(&self, path: Path, to: SocketAddr) -> Answer {
        let Target { namespace, name, .. } = self.target;
        let (from, function) = self.caller;
        match path {
            Path::Request => self.ask(to, &host(name, namespace), Ask::get("/")).await,
            Path::Call => self.ask(to, &host(function, from), Ask::get(format!("/call/{namespace}/{name}/"))).await,
            Path::Publish => self.publish(to, &format!("/{namespace}/{name}"), "direct").await,
            Path::Deliver => self.publish(to, &format!("/{CARRIER}/{OPEN}"), "deliver").await,
            Path::Reply => self.publish(to, &format!("/{CARRIER}/{}", questions(self.caller)), "reply").await,
        }
    }

    async fn ask(&self, to: SocketAddr, host: &str, ask: Ask) -> Answer {
        self.workload.ask(to, host, ask).await
    }

    async fn publish(&self, to: SocketAddr, topic: &str, how: &str) -> Answer {
        let (from, function) = self.caller;
        let event = json!({
            "specversion": "1.0",
            "id": format!("{from}-{function}-{how}-{}", event_type(self.target)),
            "source": "/parity",
            "type": event_type(self.target),
        });
        let ask = Ask::post(topic).header("content-type", STRUCTURED).json(&event);
        self.ask(to, &format!("topics.{DOMAIN}"), ask).await
    }
}

fn host(function: &str, namespace: &str) -> String {
    format!("{function}.{namespace}.{DOMAIN}")
}
