//! Questions about what nobody has done yet: a request or an event as somebody describes it, in the name of whom they say.
//! Made by the same functions that make calls of what arrives, so that the answer is that of a real one.

use std::sync::Arc;

use http::Uri;
use http::request::Parts;
use serde_json::{Map, Value};
use weft_functions::event::Event;
use weft_functions::filter::FilterVerdict;
use weft_functions::issuer::Issuer;
use weft_functions::manifest::SYSTEM_NAMESPACE;
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;
use weft_functions::value::{Name, Namespaced};

use super::contract::{self, Subscription};
use super::situation::{ask, proof_of};
use crate::edge::ingress;
use crate::path::call::{Outside, Reach, Target};
use crate::path::caller::{Caller, Principal, Proof, Subject, Token};
use crate::path::envelope;
use crate::path::identity_fields::strip_head;
use crate::path::outcome::Failure;
use crate::path::outgoing::Sender;
use crate::path::policy::{OwnedHead, OwnedQuestion};
use crate::path::routes::{self, Names, Routed};
use crate::path::snapshot::{DeployedTrigger, Snapshot};
use crate::path::spiffe::SpiffeId;

/// How a token's subject is written for `--as`.
const TOKEN: &str = "jwt:";

/// In whose name a question is asked: identities and claims as they were typed.
#[derive(Debug, Clone, Default)]
pub struct AsWhom {
    /// SPIFFE ids and `jwt:<iss>/<sub>`: at most one of each.
    pub identities: Vec<String>,
    /// Claims of the token.
    pub claims: Map<String, Value>,
}

/// An identity that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadIdentity(String);

impl AsWhom {
    /// Whether a token is among them: whom it makes the caller depends on what is called.
    pub fn has_token(&self) -> bool {
        self.identities.iter().any(|identity| identity.starts_with(TOKEN))
    }

    /// The caller, for a target in `namespace`: what an Issuer says counts there or not.
    ///
    /// # Errors
    /// An identity cannot be read, or there are two of a kind, or claims without a token.
    pub fn caller(&self, snapshot: &Snapshot, namespace: Option<&Name>) -> Result<Caller, BadIdentity> {
        let bad = |text: String| Err(BadIdentity(text));
        let (mut workload, mut subject) = (None, None);
        for text in &self.identities {
            let twice = match text.strip_prefix(TOKEN) {
                Some(text) => subject.replace(text).is_some(),
                None => match text.parse::<SpiffeId>() {
                    Ok(id) => workload.replace(id).is_some(),
                    Err(error) => {
                        return bad(format!(
                            "`{}` is no identity: expected a SPIFFE id or jwt:ISSUER/SUBJECT ({error})",
                            text.escape_debug()
                        ));
                    }
                },
            };
            if twice {
                return bad("a caller has at most one certificate and one token".to_owned());
            }
        }
        if subject.is_none() && !self.claims.is_empty() {
            return bad("claims are a token's: name its subject with jwt:ISSUER/SUBJECT".to_owned());
        }
        let principal = workload.map_or(Principal::Anonymous, Principal::Workload);
        let mut caller = Caller::direct(principal, Proof::None);
        if let Some(subject) = subject {
            caller.show(Arc::new(self.token(subject, &snapshot.issuers, namespace)?));
        }
        caller.how = proof_of(&caller, snapshot);
        Ok(caller)
    }

    fn token(&self, text: &str, issuers: &[Arc<Issuer>], namespace: Option<&Name>) -> Result<Token, BadIdentity> {
        let vouches = |issuer: &&Arc<Issuer>| {
            let of = &issuer.metadata.namespace;
            let subject = text.strip_prefix(issuer.spec.issuer.as_str()).and_then(|rest| rest.strip_prefix('/'));
            (of.as_str() == SYSTEM_NAMESPACE || Some(of) == namespace) && subject.is_some_and(|sub| !sub.is_empty())
        };
        let Some(issuer) = issuers.iter().find(vouches) else {
            return Err(BadIdentity(format!(
                "jwt:{}: no Issuer of the target's namespace or of {SYSTEM_NAMESPACE} vouches for it, so a token of it \
                 would not be taken",
                text.escape_debug()
            )));
        };
        let claim = |name: &str| self.claims.get(name);
        let texts = |value: &Value| match value {
            Value::String(text) => vec![Arc::from(text.as_str())],
            Value::Array(values) => values.iter().filter_map(Value::as_str).map(Arc::from).collect(),
            _ => Vec::new(),
        };
        let of = &issuer.metadata.namespace;
        Ok(Token {
            subject: Subject { text: text.into(), scope: (of.as_str() != SYSTEM_NAMESPACE).then(|| of.clone()) },
            audiences: claim("aud").map(texts).unwrap_or_default(),
            presenter: claim("azp").and_then(Value::as_str).map(Arc::from),
            claims: self.claims.clone(),
            pass: Vec::new(),
            expires: u64::MAX,
        })
    }
}

/// What a request would be aimed at. A function of this mesh calls as functions do, everybody else from outside.
pub(super) fn aim(names: &Names, snapshot: &Snapshot, mut head: Parts, caller: &Caller) -> (Parts, Routed) {
    let id = caller.principal.workload().filter(|_| caller.how == Proof::Node);
    if let Some(function) = snapshot.functions.values().find(|function| Some(&function.identity) == id) {
        strip_head(&mut head.headers);
        let allow_hosts = &function.resource.spec.allow_hosts;
        let routed = Sender { names, function: &function.name, allow_hosts, hops: 1 }.route(&mut head);
        return (head, routed);
    }
    // From outside the address arrives as a Host and a path.
    let uri = std::mem::take(&mut head.uri);
    if let Some(host) = uri.authority().and_then(|authority| authority.as_str().parse().ok()) {
        head.headers.insert(http::header::HOST, host);
    }
    head.uri = uri.path_and_query().map_or_else(Uri::default, |path| path.clone().into());
    ingress::rehearse(names, head)
}

pub(super) fn of_request(head: &Parts, routed: Routed, caller: Caller) -> OwnedQuestion {
    let Routed { verb, target } = routed;
    let head = OwnedHead {
        host: head.uri.host().unwrap_or_default().to_owned(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: head.headers.clone(),
    };
    OwnedQuestion { verb, target, caller, head: Some(head), event: None, trigger: None, copy: false, known: None }
}

pub(super) fn of_event(names: &Names, topic: &Namespaced, event: &Event, caller: Caller) -> OwnedQuestion {
    let head = OwnedHead {
        host: names.topics_host(),
        method: "POST".to_owned(),
        path: format!("/{topic}"),
        ..OwnedHead::default()
    };
    OwnedQuestion {
        verb: Verb::Publish,
        target: Target::Topic(topic.clone()),
        caller,
        head: Some(head),
        event: Some(event.to_fields()),
        trigger: None,
        copy: false,
        known: None,
    }
}

/// What each trigger of the topic would do with the event.
pub(super) fn subscriptions(
    snapshot: &Snapshot,
    topic: &Namespaced,
    event: &Event,
    publisher: &Caller,
) -> contract::Event {
    let triggers = snapshot.triggers.values().filter(|trigger| trigger.topic == *topic);
    let keep = snapshot.topics.get(topic).map_or(&[][..], |topic| &topic.resource.spec.keep_claims);
    let kept = envelope::remembered(publisher, keep);
    contract::Event {
        topic: Some(topic.to_string()),
        ty: Some(event.ty().to_owned()),
        source: Some(event.source().to_owned()),
        subscriptions: triggers.map(|trigger| subscription(snapshot, trigger, event, &kept)).collect(),
    }
}

fn subscription(snapshot: &Snapshot, trigger: &DeployedTrigger, event: &Event, publisher: &Caller) -> Subscription {
    let first_failing = match trigger.resource.spec.filters.evaluate(event) {
        FilterVerdict::Pass => None,
        FilterVerdict::Fail { first_failing } => Some(first_failing),
    };
    let passes = first_failing.is_none();
    let consume = passes.then(|| ask(snapshot, consume(trigger, event, publisher).question()));
    let egress = leave(trigger, publisher).filter(|_| passes).map(|question| ask(snapshot, question.question()));
    let deliver = passes.then(|| ask(snapshot, deliver(trigger, event, publisher).question()));
    let allowed = [&consume, &egress, &deliver].into_iter().flatten().all(|asking| asking.verdict == "allow");
    Subscription {
        name: trigger.name.to_string(),
        source: trigger.resource.location.to_string(),
        target: destination(trigger),
        filter: if passes { "pass" } else { "fail" },
        first_failing,
        next: match (passes, allowed) {
            (false, _) => "filter",
            (true, true) => "deliver",
            (true, false) => "deny",
        },
        consume,
        egress,
        deliver,
    }
}

/// Where a trigger delivers, in words.
pub(super) fn destination(trigger: &DeployedTrigger) -> String {
    match &trigger.resource.spec.destination {
        Destination::Function { function, .. } => format!("function {function}"),
        Destination::Url(url) => url.to_string(),
    }
}

/// May the trigger read the topic?
pub(super) fn consume(trigger: &DeployedTrigger, event: &Event, publisher: &Caller) -> OwnedQuestion {
    OwnedQuestion {
        verb: Verb::Consume,
        target: Target::Subscription(trigger.topic.clone()),
        caller: Caller::acting_for(trigger.identity.clone(), publisher),
        head: None,
        event: Some(event.to_fields()),
        trigger: Some(trigger.name.clone()),
        copy: false,
        known: None,
    }
}

/// May the publisher reach the trigger's destination through it?
pub(super) fn deliver(trigger: &DeployedTrigger, event: &Event, publisher: &Caller) -> OwnedQuestion {
    let identity = Principal::Workload(trigger.identity.clone());
    let (verb, target, caller, host, path) = match &trigger.resource.spec.destination {
        Destination::Function { function, path } => {
            let caller = Caller { via: Some(identity), ..publisher.clone() };
            let host = routes::internal_host(function);
            let path = path.split('?').next().unwrap_or_default().to_owned();
            (Verb::Deliver, Target::Function(function.clone()), caller, host, path)
        }
        Destination::Url(url) => {
            let caller = Caller { via: Some(identity), ..publisher.clone() };
            let (host, target) = match outside(trigger, url) {
                Ok(outside) => (outside.host.to_string(), Target::Outside(outside)),
                Err(failure) => (String::new(), Target::Nowhere(failure)),
            };
            (Verb::Deliver, target, caller, host, url.path().to_owned())
        }
    };
    let head = OwnedHead { host, method: "POST".to_owned(), path, ..OwnedHead::default() };
    OwnedQuestion {
        verb,
        target,
        caller,
        head: Some(head),
        event: Some(event.to_fields()),
        trigger: Some(trigger.name.clone()),
        copy: false,
        known: None,
    }
}

/// May the trigger leave the mesh itself, if it delivers to an address outside?
pub(super) fn leave(trigger: &DeployedTrigger, publisher: &Caller) -> Option<OwnedQuestion> {
    let Destination::Url(url) = &trigger.resource.spec.destination else { return None };
    // An address that is none is refused when it is called.
    let outside = outside(trigger, url).ok()?;
    let (host, path) = (outside.host.to_string(), url.path().to_owned());
    Some(OwnedQuestion {
        verb: Verb::Egress,
        target: Target::Outside(outside),
        caller: Caller::acting_for(trigger.identity.clone(), publisher),
        head: Some(OwnedHead { host, method: "POST".to_owned(), path, ..OwnedHead::default() }),
        event: None,
        trigger: Some(trigger.name.clone()),
        copy: false,
        known: None,
    })
}

/// Which of its addresses are reached is seen when they are dialled.
fn outside(trigger: &DeployedTrigger, url: &Uri) -> Result<Outside, Failure> {
    Outside::of_trigger(&trigger.name, url, Reach::Public)
}
