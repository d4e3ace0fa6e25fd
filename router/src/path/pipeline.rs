//! The order of things on the path, and nothing else. What each step does lives in the file the step is named after.

use std::sync::Arc;

use weft_runtime::{Body, empty};

use super::Mesh;
use super::call::{Call, Target};
use super::outcome::{Failure, Reason};
use super::policy::{self, Decision, Permit};
use super::quota;
use super::record::{Answer, Record};
use super::snapshot::Snapshot;
use super::tokens;
use crate::targets::backend::Backend;
use crate::targets::topics;

/// Judges, opens, classifies and records one call. (In a box, because it goes through many hands and is large.)
pub async fn handle(mesh: &Arc<Mesh>, call: impl Into<Box<Call>>) -> Answer {
    let mut call = call.into();
    let mut record = mesh.records.start(&call);
    let result = match judge(mesh, &mut record, &mut call).await {
        Ok((permit, snapshot)) => record.call().until_cut(open(mesh, &snapshot, permit, call)).await,
        Err(failure) => Err(failure),
    };
    record.finish(result)
}

/// Judges and records a call that has no effect of its own: somebody's right is asked for, on which something else rests.
/// The answer is 204, or the refusal.
pub async fn ask(mesh: &Arc<Mesh>, mut call: Call) -> Answer {
    let mut record = mesh.records.start(&call);
    let result = judge(mesh, &mut record, &mut call).await.map(|(permit, _)| permitted(permit));
    record.finish(result)
}

/// The answer to what was asked and needs no more.
fn permitted(permit: Permit) -> http::Response<Body> {
    drop(permit);
    let mut response = http::Response::new(empty());
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}

/// Asks policy, and reads what the call carries only if the answer depends on it, or what AUDIT rules note beside it. What
/// is permitted takes its place among the calls that go on, and is judged once more if another snapshot was put in force
/// before it stood there: whoever puts one in force finds the call, or the call finds the snapshot.
///
/// # Errors
/// Why it may not happen.
pub async fn judge(mesh: &Arc<Mesh>, record: &mut Record, call: &mut Call) -> Result<(Permit, Arc<Snapshot>), Failure> {
    loop {
        let snapshot = mesh.snapshot();
        if let Some(failure) = tokens::withdrawn(&snapshot, &call.caller) {
            return Err(failure);
        }
        match policy::decide_call(&snapshot, call) {
            // The events are known after that, so this is asked once.
            Decision::Permit(permit) if permit.notes_more() && call.events.is_none() => {
                topics::receive(&mesh.room, call).await?
            }
            Decision::Permit(permit) => {
                record.judged(&snapshot, permit.labels(), call);
                record.go_on(&mesh.open);
                if mesh.is_in_force(&snapshot) {
                    return Ok((permit, snapshot));
                }
            }
            Decision::Denied(denied) => {
                record.judged(&snapshot, &denied.labels, call);
                return Err(denied.failure);
            }
            Decision::NeedsEvent(labels) => {
                record.judged(&snapshot, &labels, call);
                if call.events.is_some() {
                    return Err(undecided());
                }
                topics::receive(&mesh.room, call).await?;
            }
        }
    }
}

/// Opens what the permit is for.
async fn open(
    mesh: &Arc<Mesh>,
    snapshot: &Snapshot,
    permit: Permit,
    call: Box<Call>,
) -> Result<http::Response<Body>, Failure> {
    match &call.target {
        Target::Function(name) => {
            let function = snapshot.functions.get(name).ok_or_else(gone)?;
            let namespace = snapshot.namespaces.get(&name.namespace);
            let place = namespace.map(|namespace| namespace.enter()).transpose()?;
            Ok(quota::hold(place, Backend::invoke(mesh, permit, function, call).await?))
        }
        Target::Topic(name) => {
            let topic = snapshot.topics.get(name).ok_or_else(gone)?;
            let namespace = snapshot.namespaces.get(&name.namespace).cloned();
            topics::publish(permit, topic, namespace.as_deref(), &mesh.envelopes, &mesh.room, *call).await
        }
        Target::Outside(outside) => {
            let outside = outside.clone();
            mesh.upstream.send(permit, &outside, *call).await
        }
        Target::Subscription(_) | Target::Resource(_) | Target::Namespace(_) => Err(elsewhere()),
        Target::Nowhere(failure) => Err(failure.clone()),
    }
}

/// With its events known every question has an answer, so this is not reached.
fn undecided() -> Failure {
    Failure::hidden(Reason::Internal, "policy did not decide about a call whose events are known")
}

/// Administration has its own listener, which asks policy and does what was asked for.
fn elsewhere() -> Failure {
    Failure::hidden(Reason::RouteNone, "resources are not reached by this path")
}

/// A permit is only made for what the snapshot has, so this is not reached.
fn gone() -> Failure {
    Failure::hidden(Reason::Internal, "the permitted target is not in the snapshot that permitted it")
}
