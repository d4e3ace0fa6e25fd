//! Where a request to the admin API asks policy: by the same `decide` as every other call, recorded in the same way, and
//! answered with the same problem when it is refused. One request may ask for many things (an apply, a list); each is a
//! decision of its own, and the answer carries the id of the one that refused, or else of the first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::RequestExt;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_functions::manifest::ResourceId;
use weft_functions::policy::Verb;
use weft_runtime::{BodyError, BodyErrorKind, empty};

use super::super::deployments::Judge;
use super::refusal::Refusal;
use super::rights::{self, Right};
use super::{API_HEADER, Guard, Shared};
use crate::path::Mesh;
use crate::path::call::{Call, Target};
use crate::path::caller::Caller;
use crate::path::outcome::Failure;
use crate::path::pipeline;
use crate::path::policy::{self, Decision};
use crate::path::record::Record;

/// The one who asks, and what was asked so far.
pub(super) struct Desk {
    mesh: Arc<Mesh>,
    caller: Caller,
    method: Method,
    uri: Uri,
    /// Whether what is asked counts in the metrics.
    counts: bool,
    asked: Mutex<Vec<Asked>>,
}

struct Asked {
    record: Box<Record>,
    refused: Option<Failure>,
}

/// Stands before every handler: refuses whom the guard or policy refuses, hands the desk to the handler, records the
/// call, and names the version on every answer.
pub(super) async fn admit(State(state): State<Shared>, request: Request, next: Next) -> Response {
    // Each door says what holds for its visitors.
    let guard = request.extensions().get::<Guard>().copied().unwrap_or(state.guard);
    let mut response = match guard.check(request.headers()) {
        Ok(()) => judged(&state, request, next).await,
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(API_HEADER, HeaderValue::from_static("1"));
    response
}

async fn judged(state: &Shared, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<MatchedPath>().cloned();
    let address = address.as_ref().map(MatchedPath::as_str);
    let names = request.extract_parts::<RawPathParams>().await.ok();
    let names = names.iter().flatten().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let names: Vec<(String, String)> = names.collect();
    let right = rights::of(request.method(), address, &names);
    if let Ok(Right::None) = right {
        return next.run(request).await;
    }
    let counts = !address.is_some_and(|address| address.starts_with("/api/v1/explain/"));
    let desk = Arc::new(Desk::new(&state.mesh, &request, counts));
    let may = match right {
        Ok(Right::To(verb, target)) => desk.ask(verb, target).await,
        Ok(Right::Each | Right::None) => Ok(()),
        Err(refusal) => Err(refusal),
    };
    request.extensions_mut().insert(desk.clone());
    let response = match may {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    desk.close(response)
}

impl Desk {
    fn new(mesh: &Arc<Mesh>, request: &Request, counts: bool) -> Self {
        // Whoever accepts connections says who they come from; nobody comes from nowhere.
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::nobody);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Self { mesh: mesh.clone(), caller, method, uri, counts, asked: Mutex::default() }
    }

    /// Who asks.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Asks whether this may happen, on record.
    ///
    /// # Errors
    /// It may not.
    pub(super) async fn ask(&self, verb: Verb, target: Target) -> Result<(), Refusal> {
        self.judge(verb, target).await.map_err(Refusal::Denied)
    }

    async fn judge(&self, verb: Verb, target: Target) -> Result<(), Failure> {
        let mut call = self.call(verb, target);
        let mut record = self.mesh.records.start(&call);
        record.count(self.counts);
        let refused = pipeline::judge(&self.mesh, &mut record, &mut call).await.err();
        self.asked().push(Asked { record, refused: refused.clone() });
        refused.map_or(Ok(()), Err)
    }

    /// Whether this might happen; nobody is told that it was asked.
    pub(super) fn may(&self, verb: Verb, target: Target) -> bool {
        let decision = policy::decide_call(&self.mesh.snapshot(), &self.call(verb, target));
        matches!(decision, Decision::Permit(_))
    }

    /// Asks for every resource that an apply changes.
    pub(super) fn judge_changes(self: Arc<Self>) -> Judge {
        Judge::new(move |ids: Vec<ResourceId>| {
            let desk = self.clone();
            async move {
                for id in ids {
                    desk.judge(Verb::Apply, Target::Resource(id)).await?;
                }
                Ok(())
            }
            .boxed()
        })
    }

    fn call(&self, verb: Verb, target: Target) -> Call {
        let mut request = http::Request::new(empty());
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        let (caller, deadline) = (self.caller.clone(), Instant::now());
        Call { verb, target, caller, request, deadline, hops: 0, cause: None, events: None }
    }

    /// Ends what was recorded with the answer.
    fn close(&self, response: Response) -> Response {
        let mut asked = std::mem::take(&mut *self.asked());
        let deciding = asked.iter().position(|asked| asked.refused.is_some()).unwrap_or(0);
        if deciding >= asked.len() {
            return response;
        }
        let Asked { record, refused } = asked.swap_remove(deciding);
        for other in asked {
            let mut alike = http::Response::new(empty());
            *alike.status_mut() = refused.as_ref().map_or(response.status(), |failure| failure.reason.status());
            drop(other.record.finish(other.refused.map_or(Ok(alike), Err)));
        }
        let cut = |error: axum::Error| BodyError::new(BodyErrorKind::Aborted, error.to_string());
        let answer = match refused {
            Some(failure) => Err(failure),
            None => Ok(response.map(|body| body.map_err(cut).boxed_unsync())),
        };
        record.finish(answer).response.map(axum::body::Body::new)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
