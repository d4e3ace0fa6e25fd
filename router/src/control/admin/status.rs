//! The status of each kind of resource: where it comes from and how it is doing. Numbers come from the snapshot in force;
//! what is desired and not in force has zeros, and says why under `lacking`.

use serde_json::{Value, json};
use tokio::time::Instant;
use weft_functions::function::Function;
use weft_functions::issuer::{Issuer, KeySource};
use weft_functions::manifest::{Kind, Resource};
use weft_functions::namespace::Namespace;
use weft_functions::policy::Policy;
use weft_functions::topic::Topic;
use weft_functions::trigger::{Destination, Trigger};

use super::super::deployments::View;
use super::super::desired::{Entry, Owner};
use super::super::scale_log::ScaleChange;
use super::super::timestamp::rfc3339;
use super::AdminState;
use crate::path::circuit::{Circuit, Standing};

/// A resource as it was written, with its status.
pub(super) fn resource(state: &AdminState, view: &View, entry: &Entry) -> Value {
    let mut status = match &entry.resource {
        Resource::Function(function) => of_function(state, view, entry, function),
        Resource::Topic(topic) => of_topic(state, view, topic),
        Resource::Trigger(trigger) => of_trigger(view, trigger),
        Resource::Policy(policy) => of_policy(policy),
        Resource::Namespace(namespace) => of_namespace(view, namespace),
        Resource::Issuer(issuer) => of_issuer(view, issuer),
    };
    status["source"] = match entry.owner {
        Owner::File => entry.resource.location().to_string().into(),
        Owner::Api => "api".into(),
    };
    status["owner"] = entry.owner.as_str().into();
    status["snapshot"] = entry.changed_in.into();
    if let Some(why) = view.lacking.get(&entry.resource.id()) {
        status["lacking"] = why.as_str().into();
    }
    let mut resource = entry.resource.to_json();
    resource["status"] = status;
    resource
}

fn of_function(state: &AdminState, view: &View, entry: &Entry, function: &Function) -> Value {
    let name = function.metadata.namespaced();
    let deployed = view.snapshot.functions.get(&name);
    let stats = deployed.map(|deployed| deployed.revision.stats()).unwrap_or_default();
    let revision = match deployed {
        Some(deployed) => Some(deployed.revision.name().to_owned()),
        None => entry.revision_name(),
    };
    json!({
        "revision": revision,
        "digest": entry.module.map(|module| format!("sha256:{module}")),
        "url": format!("{}/", url(state, &state.names.function_host(&name))),
        "ready": deployed.is_some(),
        "instances": stats.instances,
        "loaded": stats.loaded,
        "queued": stats.queued,
        "calls": stats.calls,
        "coldStarts": stats.cold_starts,
        "traps": stats.traps,
        "lastScale": state.scale_log.last(&name).iter().map(scale_change).collect::<Vec<_>>(),
    })
}

fn scale_change(change: &ScaleChange) -> Value {
    json!({
        "at": rfc3339(change.at_ms),
        "revision": change.revision,
        "from": change.from,
        "to": change.to,
        "why": change.why,
    })
}

fn of_topic(state: &AdminState, view: &View, topic: &Topic) -> Value {
    let name = topic.metadata.namespaced();
    let home = &topic.metadata.namespace;
    let readers = view.snapshot.triggers.values().filter(|trigger| trigger.topic == name);
    let mut status = json!({
        "url": format!("{}/{}/{}", url(state, &state.names.topics_host()), name.namespace, name.name),
        "durability": topic.spec.durability.as_str(),
        "triggers": readers.map(|trigger| trigger.name.relative_to(home)).collect::<Vec<_>>(),
        "ready": false,
    });
    if let Some(deployed) = view.snapshot.topics.get(&name) {
        let (bounds, stats) = (deployed.log.bounds(), deployed.log.stats());
        status["ready"] = true.into();
        status["first"] = bounds.first.to_string().into();
        status["next"] = bounds.next.to_string().into();
        status["bytes"] = stats.bytes.into();
        status["segments"] = stats.segments.into();
        status["deduplicated"] = stats.deduplicated.into();
        if stats.out_of_space {
            status["refuses"] = "the disk is full".into();
        }
        let damaged: Vec<String> = deployed.log.damaged().iter().map(ToString::to_string).collect();
        if !damaged.is_empty() {
            status["damaged"] = damaged.into();
        }
    }
    status
}

fn of_trigger(view: &View, trigger: &Trigger) -> Value {
    let deployed = view.snapshot.triggers.get(&trigger.metadata.namespaced());
    let counters = deployed.map(|deployed| deployed.counters()).unwrap_or_default();
    json!({
        "accepted": counters.accepted,
        "delivered": counters.delivered,
        "filtered": counters.filtered,
        "denied": counters.denied,
        "expired": counters.expired,
        "dead": counters.dead,
        "cancelled": counters.cancelled,
        "pending": counters.pending,
        "topic": trigger.spec.topic.to_string(),
        "target": match &trigger.spec.destination {
            Destination::Function { function, .. } => format!("function {function}"),
            Destination::Url(url) => url.to_string(),
        },
        "circuit": deployed.map_or(Value::Null, |deployed| circuit(&deployed.circuit)),
        "ready": deployed.is_some(),
    })
}

/// Whether a trigger's target takes events, and when it is asked again if not.
fn circuit(circuit: &Circuit) -> Value {
    let now = Instant::now();
    match circuit.standing(now) {
        Standing::Closed => json!({ "state": "closed" }),
        Standing::HalfOpen => json!({ "state": "half_open" }),
        Standing::Open { cause, until } => {
            let seconds = (until - now).as_secs_f64();
            json!({ "state": "open", "cause": cause.as_str(), "seconds": (seconds * 1_000.0).round() / 1_000.0 })
        }
    }
}

fn of_policy(policy: &Policy) -> Value {
    json!({ "action": policy.spec.action.as_str() })
}

fn of_namespace(view: &View, namespace: &Namespace) -> Value {
    let name = &namespace.metadata.name;
    let functions = view.desired.entries.keys().filter(|id| id.kind == Kind::Function && id.namespace == *name);
    let deployed = view.snapshot.namespaces.get(name);
    json!({
        "functions": functions.count(),
        "instances": deployed.map_or(0, |deployed| deployed.usage.calls()),
        "ready": deployed.is_some(),
    })
}

fn of_issuer(view: &View, issuer: &Issuer) -> Value {
    json!({
        "issuer": issuer.spec.issuer,
        "keys": match &issuer.spec.keys {
            KeySource::Inline(_) => "inline".to_owned(),
            KeySource::Uri(uri) => uri.to_string(),
        },
        "ready": view.snapshot.issuers.iter().any(|known| known.metadata == issuer.metadata),
    })
}

/// Where callers of most ways find a host of the mesh: with a certificate where that is asked, else as there is.
fn url(state: &AdminState, host: &str) -> String {
    let node = &state.node;
    let secured = node.mtls.or(node.tls).map(|addr| format!("https://{host}:{}", addr.port()));
    let plain = || node.http.map(|addr| format!("http://{host}:{}", addr.port()));
    secured.or_else(plain).unwrap_or_else(|| format!("https://{host}"))
}
