//! Explanations: `weft explain` of what would happen and of what happened. Whoever may read the target may have it
//! explained. Asking starts nothing, keeps nothing, and counts as nothing but a question.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weft_functions::event::http as binding;
use weft_functions::event::{Event, EventLimits};
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::policy::Verb;
use weft_functions::value::{Name, Namespaced, ValueError};

use super::super::explain::{AsWhom, Found, Past, Search};
use super::Shared;
use super::desk::Desk;
use super::refusal::{Refusal, read};
use super::rights;
use crate::path::call::Target;
use crate::path::caller::Caller;

/// Bytes of a question: an event of 1 MiB in JSON, or a head.
const ASK_BYTES_MAX: usize = 2 << 20;

/// A request that nobody sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestAsk {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default, rename = "as")]
    identities: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
}

/// An event that nobody published.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventAsk {
    topic: String,
    /// In CloudEvents' JSON format.
    event: Value,
    #[serde(default, rename = "as")]
    identities: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
}

/// An event that was published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryAsk {
    id: String,
    source: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    tree: bool,
}

fn get() -> String {
    "GET".to_owned()
}

/// What would become of a request.
pub(super) async fn request(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    body: Body,
) -> Result<Response, Refusal> {
    let bytes = read(body, ASK_BYTES_MAX).await?;
    let ask: RequestAsk = serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let head = head(&ask)?;
    let whom = AsWhom { identities: ask.identities, claims: ask.claims };
    // Whom a token makes the caller depends on the target, and what a function means by an address on the caller.
    let caller = self::caller(&state, &desk, &whom, None);
    let (head, routed) = state.explain.aim(head, caller.as_ref().unwrap_or(desk.caller()));
    desk.ask(Verb::Read, readable(&routed.target)).await?;
    let caller = match caller {
        Ok(caller) if whom.claims.is_empty() && !whom.has_token() => caller,
        _ => self::caller(&state, &desk, &whom, namespace(&routed.target))?,
    };
    state.mesh.records.explained("request");
    Ok(Json(state.explain.request(&head, routed, caller)).into_response())
}

/// What would become of an event.
pub(super) async fn event(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    body: Body,
) -> Result<Response, Refusal> {
    let bytes = read(body, ASK_BYTES_MAX).await?;
    let ask: EventAsk = serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let topic = read_topic(&ask.topic)?;
    desk.ask(Verb::Read, Target::Resource(of_topic(&topic))).await?;
    let event = read_event(&ask.event)?;
    let whom = AsWhom { identities: ask.identities, claims: ask.claims };
    let caller = caller(&state, &desk, &whom, Some(&topic.namespace))?;
    state.mesh.records.explained("event");
    Ok(Json(state.explain.event(&topic, &event, caller)).into_response())
}

/// A decision of the past.
pub(super) async fn decision(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id = id.parse().map_err(|error| Refusal::bad_request(format!("`{}`: {error}", id.escape_debug())))?;
    let past = state.explain.decision(id).await.map_err(Refusal::unavailable)?;
    let target = match &past {
        Some(Past::Kept(_, Some(resource))) => Target::Resource(resource.clone()),
        _ => rights::mesh(),
    };
    desk.ask(Verb::Read, target).await?;
    state.mesh.records.explained("decision");
    match past {
        Some(Past::Kept(explained, _)) => Ok(Json(explained).into_response()),
        Some(Past::Written(explained)) => Ok(Json(explained).into_response()),
        None => Err(Refusal::unknown(
            "UNKNOWN_DECISION",
            format!(
                "{id} is not known: this node did not make it, or has made 100,000 decisions since and did not refuse it"
            ),
        )),
    }
}

/// What became of an event.
pub(super) async fn delivery(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    ask: Result<Query<DeliveryAsk>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(ask) = ask.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let topic = ask.topic.as_deref().map(read_topic).transpose()?;
    let may = |topic: &Namespaced| desk.may(Verb::Read, Target::Resource(of_topic(topic)));
    let view = state.mesh.snapshot();
    let readable = topic.clone().or_else(|| view.topics.keys().find(|name| may(name)).cloned());
    let target = readable.map_or_else(rights::mesh, |topic| Target::Resource(of_topic(&topic)));
    desk.ask(Verb::Read, target).await?;
    state.mesh.records.explained("delivery");
    let search = Search { id: ask.id, source: ask.source, topic };
    match state.explain.delivery(&search, may).await.map_err(Refusal::unavailable)? {
        Found::One(delivered) => {
            let mut answer = json!(delivered);
            if ask.tree {
                let tree = state.explain.tree(&delivered, may).await.map_err(Refusal::unavailable)?;
                answer["tree"] = json!(tree);
            }
            Ok(Json(answer).into_response())
        }
        Found::Nowhere { more } => {
            let id = search.id.escape_debug();
            let older = if more { "; older ones were not looked at: name its topic" } else { "" };
            Err(Refusal::unknown("UNKNOWN_EVENT", format!("no topic has an event with the id `{id}`{older}")))
        }
    }
}

/// Whose question it is: as they say, or else of whoever asks.
fn caller(state: &Shared, desk: &Desk, whom: &AsWhom, namespace: Option<&Name>) -> Result<Caller, Refusal> {
    if whom.identities.is_empty() && whom.claims.is_empty() {
        return Ok(desk.caller().clone());
    }
    let caller = whom.caller(&state.mesh.snapshot(), namespace);
    caller.map_err(|error| Refusal::bad_request(error.to_string()))
}

/// What must be readable for a call to this target to be explained.
fn readable(target: &Target) -> Target {
    let id = |kind, name: &Namespaced| ResourceId { kind, namespace: name.namespace.clone(), name: name.name.clone() };
    match target {
        Target::Function(name) => Target::Resource(id(Kind::Function, name)),
        Target::Topic(name) | Target::Subscription(name) => Target::Resource(of_topic(name)),
        Target::Outside(outside) => Target::Resource(id(outside.owner_kind, &outside.owner)),
        Target::Resource(_) | Target::Namespace(_) => target.clone(),
        Target::Nowhere(_) => rights::mesh(),
    }
}

fn namespace(target: &Target) -> Option<&Name> {
    match target {
        Target::Function(name) | Target::Topic(name) => Some(&name.namespace),
        _ => None,
    }
}

fn of_topic(name: &Namespaced) -> ResourceId {
    ResourceId { kind: Kind::Topic, namespace: name.namespace.clone(), name: name.name.clone() }
}

fn read_topic(text: &str) -> Result<Namespaced, Refusal> {
    text.parse().map_err(|error: ValueError| Refusal::bad_request(format!("topic: {error}")))
}

fn read_event(event: &Value) -> Result<Event, Refusal> {
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json"));
    let bytes = serde_json::to_vec(event).unwrap_or_default();
    let decoded = binding::decode(&headers, bytes.into(), &EventLimits::default());
    let mut events = decoded.map_err(|error| Refusal::bad_request(format!("event: {error}")))?;
    events.pop().ok_or_else(|| Refusal::bad_request("event: there is none"))
}

fn head(ask: &RequestAsk) -> Result<http::request::Parts, Refusal> {
    let uri: Uri = ask.url.parse().map_err(|error| Refusal::bad_request(format!("url: {error}")))?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if !web || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        let url = ask.url.escape_debug();
        return Err(Refusal::bad_request(format!("url: expected http(s)://HOST/PATH, not `{url}`")));
    }
    let method: Method = ask
        .method
        .parse()
        .map_err(|_| Refusal::bad_request(format!("method: `{}` is not one", ask.method.escape_debug())))?;
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in &ask.headers {
        let bad = || Refusal::bad_request(format!("headers: `{}` is not one", name.escape_debug()));
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        let value: HeaderValue = value.parse().map_err(|_| bad())?;
        request.headers_mut().append(name, value);
    }
    Ok(request.into_parts().0)
}
