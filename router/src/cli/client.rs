//! The client of the admin API, version 1: one method for each question the command line asks.
//!
//! One connection per question: a command asks a handful, and a connection that is never reused is never stale.
//! Answers are JSON values as the node sent them, so that `-o json` prints what the node said and not what we
//! understood of it. Every question has a time limit and every answer a size limit.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weft_functions::manifest::Kind;
use weft_functions::value::Namespaced;

mod address;
mod data;
mod error;
mod lines;
mod proof;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use address::Address;
pub(super) use data::{DataCall, DataPlane};
pub(super) use error::{ClientError, Problem};
pub(super) use lines::Lines;
pub(super) use proof::{Proof, ProofArgs};
pub(super) use wire::collect;

use wire::{Ask, Channel, Exchange};

/// The version of the admin API that this client speaks, as the node says it in `x-weft-api`.
const API_VERSION: &str = "1";

/// How long a node may think about a question it answers from memory.
const ANSWER: Duration = Duration::from_secs(30);

/// How long an apply may take: it compiles every new module. A large one (64 MiB) takes a minute on a small machine,
/// and a folder holds several.
const COMPILE: Duration = Duration::from_mins(15);

/// How long a search through topics may take: a gibibyte from a slow disk.
const SEARCH: Duration = Duration::from_mins(2);

/// The largest JSON answer that is read: a list of 10,000 resources of 3 KiB.
const ANSWER_BYTES: usize = 32 << 20;

/// A node, reached through its admin API.
#[derive(Debug)]
pub(super) struct Admin {
    address: Address,
    proof: Proof,
}

/// What a node says of itself, as far as the command line uses it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    /// The domain under which functions and topics have their addresses, such as `localhost`.
    pub(super) domain: String,
    /// Where the node takes requests and events, as `HOST:PORT`: without TLS,
    pub(super) http: Option<String>,
    /// with a client's certificate,
    pub(super) mtls: Option<String>,
    /// and over TLS without one.
    pub(super) tls: Option<String>,
    /// The authorities that its clients trust, in PEM.
    pub(super) bundle: Option<String>,
}

/// A page of a trigger's dead logs.
#[derive(Debug)]
pub(super) struct DeadPage {
    /// Its entries.
    pub(super) items: Vec<Value>,
    /// Where the next page begins, if there may be one.
    pub(super) next: Option<String>,
}

/// What is to become of the mesh: manifests, and the modules they name.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplyRequest {
    pub(super) documents: Vec<Document>,
    pub(super) modules: Vec<ModuleReference>,
    pub(super) dry_run: bool,
}

/// A manifest under the name that mistakes in it are reported with.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) file: String,
    pub(super) text: String,
}

/// Says which uploaded bytes a manifest means by a module's path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ModuleReference {
    pub(super) file: String,
    /// As written in the manifest.
    pub(super) module: String,
    /// SHA-256 in hexadecimal.
    pub(super) digest: String,
}

impl Admin {
    pub(super) fn new(address: Address) -> Self {
        Self { address, proof: Proof::default() }
    }

    /// The same, as somebody.
    pub(super) fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Where the node is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What the node says of itself.
    pub(super) async fn node(&self) -> Result<Node, ClientError> {
        let value = self.json(Ask::get("/api/v1/node"), ANSWER).await?;
        serde_json::from_value(value).map_err(|error| self.unreadable(format!("its description of itself: {error}")))
    }

    /// All resources of a kind, in one namespace or (`None`) in all.
    pub(super) async fn list(&self, of: Kind, namespace: Option<&str>) -> Result<Vec<Value>, ClientError> {
        let filter = namespace.map(|namespace| format!("?namespace={namespace}")).unwrap_or_default();
        let path = format!("/api/v1/resources/{}{filter}", of.singular());
        match self.json(Ask::get(path), ANSWER).await?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(self.unreadable("a list without items".to_owned())),
        }
    }

    /// One resource with its status.
    pub(super) async fn resource(&self, kind: Kind, target: &Namespaced) -> Result<Value, ClientError> {
        self.json(Ask::get(resource_path(kind, target)), ANSWER).await
    }

    /// Deletes a resource; answers what changed. It may have to wait for an apply that compiles.
    pub(super) async fn delete(&self, kind: Kind, target: &Namespaced) -> Result<Value, ClientError> {
        self.json(Ask::new(Method::DELETE, resource_path(kind, target)), COMPILE).await
    }

    /// Applies manifests, all or nothing; answers what changed.
    pub(super) async fn apply(&self, request: &ApplyRequest) -> Result<Value, ClientError> {
        let body = serde_json::to_vec(request).map_err(|error| ClientError::Unasked(error.to_string()))?;
        self.json(Ask::new(Method::POST, "/api/v1/apply").with_body("application/json", body.into()), COMPILE).await
    }

    /// Whether the node already keeps the module with this SHA-256; `function` is what it is for.
    pub(super) async fn has_module(&self, digest: &str, function: &Namespaced) -> Result<bool, ClientError> {
        let answer = self.ask(Ask::new(Method::HEAD, module_path(digest, function)), ANSWER).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            // An answer to HEAD has no words; those that go with the upload will have them.
            StatusCode::FORBIDDEN => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(self.unreadable(format!("{status} to whether it has a module"))),
        }
    }

    /// Gives the node a module; the node checks the digest.
    pub(super) async fn put_module(
        &self,
        digest: &str,
        function: &Namespaced,
        module: Bytes,
    ) -> Result<(), ClientError> {
        let ask = Ask::new(Method::PUT, module_path(digest, function)).with_body("application/wasm", module);
        let answer = self.ask(ask, COMPILE).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// Why a request or an event that nobody sent would get the answer it would get: `what` says which.
    pub(super) async fn explain(&self, what: &str, ask: &Value) -> Result<Value, ClientError> {
        let body = serde_json::to_vec(ask).map_err(|error| ClientError::Unasked(error.to_string()))?;
        let ask = Ask::new(Method::POST, format!("/api/v1/explain/{what}"));
        self.json(ask.with_body("application/json", body.into()), ANSWER).await
    }

    /// Why a decision fell as it did; `id` is escaped.
    pub(super) async fn explain_decision(&self, id: &str) -> Result<Value, ClientError> {
        self.json(Ask::get(format!("/api/v1/explain/decisions/{id}")), ANSWER).await
    }

    /// What became of an event; `query` is escaped. The node may have to read whole topics.
    pub(super) async fn explain_delivery(&self, query: &str) -> Result<Value, ClientError> {
        self.json(Ask::get(format!("/api/v1/explain/deliveries?{query}")), SEARCH).await
    }

    /// A page of what a trigger did not deliver; `ask` narrows it, `after` is the end of the page before.
    pub(super) async fn dead(
        &self,
        trigger: &Namespaced,
        ask: &[(&str, Option<&str>)],
        after: Option<&str>,
    ) -> Result<DeadPage, ClientError> {
        let Namespaced { namespace, name } = trigger;
        let query = query(ask.iter().copied().chain([("after", after)]));
        let mut page = self.json(Ask::get(format!("/api/v1/triggers/{namespace}/{name}/dead{query}")), ANSWER).await?;
        let next = page.get("next").and_then(Value::as_str).map(ToOwned::to_owned);
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(DeadPage { items, next }),
            _ => Err(self.unreadable("a list without items".to_owned())),
        }
    }

    /// Begins a job of this kind; answers how it stands.
    pub(super) async fn begin_job(&self, kind: &str, trigger: &Namespaced, ask: &Value) -> Result<Value, ClientError> {
        let body = serde_json::to_vec(ask).map_err(|error| ClientError::Unasked(error.to_string()))?;
        let Namespaced { namespace, name } = trigger;
        let ask = Ask::new(Method::POST, format!("/api/v1/triggers/{namespace}/{name}/{kind}"));
        self.json(ask.with_body("application/json", body.into()), ANSWER).await
    }

    /// All jobs, newest first.
    pub(super) async fn jobs(&self) -> Result<Vec<Value>, ClientError> {
        match self.json(Ask::get("/api/v1/jobs"), ANSWER).await?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(self.unreadable("a list without items".to_owned())),
        }
    }

    /// How a job stands; `id` needs no escaping.
    pub(super) async fn job(&self, id: &str) -> Result<Value, ClientError> {
        self.json(Ask::get(format!("/api/v1/jobs/{id}")), ANSWER).await
    }

    /// Asks a job to stop; `id` needs no escaping.
    pub(super) async fn stop_job(&self, id: &str) -> Result<Value, ClientError> {
        self.json(Ask::new(Method::POST, format!("/api/v1/jobs/{id}/stop")), ANSWER).await
    }

    /// The events of a topic from `from` on, line by line, as they come; those for which an expression is true, if one is
    /// given.
    pub(super) async fn follow(
        &self,
        topic: &Namespaced,
        from: &str,
        limit: Option<u64>,
        filter: Option<&str>,
    ) -> Result<Lines, ClientError> {
        let Namespaced { namespace, name } = topic;
        let limit = limit.map(|limit| limit.to_string());
        let query =
            query([("follow", Some("true")), ("from", Some(from)), ("limit", limit.as_deref()), ("where", filter)]);
        let path = format!("/api/v1/topics/{namespace}/{name}/events{query}");
        let response = self.send(Ask::get(path), ANSWER).await?;
        self.check_version(response.headers())?;
        if response.status().is_success() {
            return Ok(Lines::new(response.into_body(), self.address.clone()));
        }
        let answer = Exchange::read(response, ANSWER_BYTES, ANSWER, &self.address).await?;
        Err(self.refusal(&answer))
    }

    async fn send(&self, ask: Ask, patience: Duration) -> Result<http::Response<Incoming>, ClientError> {
        let channel = match &self.address {
            Address::Tls { host, .. } => {
                let config = self.proof.tls(None).map_err(ClientError::Unasked)?;
                Some(Channel { config, name: host.clone() })
            }
            Address::Tcp { .. } | Address::Unix(_) => None,
        };
        wire::send(&self.address, channel.as_ref(), ask, patience).await
    }

    /// Asks and reads the answer whole.
    async fn ask(&self, ask: Ask, patience: Duration) -> Result<Exchange, ClientError> {
        let response = self.send(ask, patience).await?;
        self.check_version(response.headers())?;
        Exchange::read(response, ANSWER_BYTES, patience, &self.address).await
    }

    /// Asks for JSON; everything but success is an error.
    async fn json(&self, ask: Ask, patience: Duration) -> Result<Value, ClientError> {
        let answer = self.ask(ask, patience).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.unreadable(format!("no JSON: {error}")))
    }

    /// Whoever answers without saying the version of this API is not a node's admin listener.
    fn check_version(&self, headers: &http::HeaderMap) -> Result<(), ClientError> {
        match headers.get("x-weft-api").map(|value| String::from_utf8_lossy(value.as_bytes())) {
            Some(version) if version == API_VERSION => Ok(()),
            Some(version) => {
                Err(ClientError::OtherVersion { address: self.address.clone(), version: version.into_owned() })
            }
            None => Err(ClientError::NotANode { address: self.address.clone() }),
        }
    }

    /// What an answer that is no success says.
    fn refusal(&self, answer: &Exchange) -> ClientError {
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && let Ok(Value::Object(mut body)) = serde_json::from_slice(&answer.body)
            && let Some(Value::Array(errors)) = body.remove("errors")
        {
            return ClientError::Mistakes(errors);
        }
        match Problem::read(&answer.body) {
            Some(problem) => ClientError::Refused(problem),
            None => self.unreadable(format!("{} without a problem document", answer.status)),
        }
    }

    fn unreadable(&self, what: String) -> ClientError {
        ClientError::Unreadable { address: self.address.clone(), what }
    }
}

/// What is asked, escaped; nothing if nothing is.
fn query<'a>(ask: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let escaped = |value| percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
    let pairs = ask.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(value?))));
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn module_path(digest: &str, function: &Namespaced) -> String {
    format!("/api/v1/modules/{digest}?function={function}")
}

/// Names are checked before they come here (`Global::target`): they need no escaping.
fn resource_path(of: Kind, target: &Namespaced) -> String {
    format!("/api/v1/resources/{}/{}/{}", of.singular(), target.namespace, target.name)
}
