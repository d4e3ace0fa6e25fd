//! Which calls a sweep meets, and what becomes of one that is cut off.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_runtime::full;

use super::*;
use crate::path::caller::{Proof, workload};
use crate::path::outcome::Reason;
use crate::path::policy::Default as Verdict;
use crate::path::record::Record;
use crate::path::{Mesh, fixture};

fn call(caller: &str) -> Call {
    Call {
        verb: Verb::Request,
        target: Target::Function("default/hello".parse().expect("a name")),
        caller: Caller::direct(workload(&format!("spiffe://weft.local/ns/default/sa/{caller}")), Proof::Mtls),
        request: http::Request::new(empty()),
        deadline: Instant::now(),
        hops: 0,
        cause: None,
        events: None,
    }
}

fn open(caller: &str) -> Arc<OpenCall> {
    OpenCall::new(Asked::from(&call(caller)))
}

fn revoked() -> Cut {
    Cut { failure: Failure::hidden(Reason::AuthzRevoked, "revoked"), judged: None }
}

/// Says when it is dropped, and never ends.
struct Guest(Arc<AtomicBool>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A body that sends a word and then goes on for ever.
fn endless(dropped: &Arc<AtomicBool>) -> Body {
    let guest = Guest(dropped.clone());
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"word")))]);
    let rest = futures_util::stream::poll_fn(move |_| {
        let _writes = &guest;
        Poll::Pending
    });
    BodyExt::boxed_unsync(http_body_util::StreamBody::new(futures_util::StreamExt::chain(first, rest)))
}

fn mesh() -> Arc<Mesh> {
    fixture::mesh()
}

fn deny(caller: &str) -> String {
    format!(
        "apiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: no }}\nspec: {{ action: DENY, rules: [ {{ \
         from: [ {{ source: {{ principals: [ \"spiffe://weft.local/ns/default/sa/{caller}\" ] }} }} ] }} ] }}\n"
    )
}

#[tokio::test]
async fn a_sweep_cuts_those_that_are_refused_and_no_others() {
    let calls = Arc::new(OpenCalls::default());
    let (weak, strong) = (open("weak"), open("strong"));
    let places: Vec<Place> = (0..100)
        .map(|spread| calls.enter(if spread % 10 == 0 { &weak } else { &strong }, spread))
        .chain([calls.enter(&open("weak"), 7)])
        .collect();
    assert_eq!(calls.len(), 101);
    let is_weak = |asked: &Asked| asked.caller.principal.as_str().ends_with("weak").then(revoked);
    assert_eq!(calls.sweep(is_weak).await, 2, "each call is cut once");
    assert!(weak.why_cut().is_some() && strong.why_cut().is_none());
    assert_eq!(calls.sweep(is_weak).await, 0);
    drop(places);
    assert!(calls.is_empty());
}

#[tokio::test]
async fn work_on_an_answer_is_dropped_when_its_call_is_cut() {
    let dropped = Arc::new(AtomicBool::new(false));
    let (call, guest) = (open("weak"), Guest(dropped.clone()));
    let work = async move {
        let _works = guest;
        std::future::pending::<Result<(), Failure>>().await
    };
    let mut work = Box::pin(call.until_cut(work));
    assert!((&mut work).now_or_never().is_none());
    let cutter = call.clone();
    let cut = tokio::spawn(async move { cutter.cut(revoked()) });
    let failure = work.await.expect_err("cut");
    assert_eq!((failure.reason, cut.await.expect("no panic")), (Reason::AuthzRevoked, true));
    assert!(dropped.load(Ordering::SeqCst));
    assert!(!call.cut(revoked()), "once");
}

#[tokio::test]
async fn a_body_breaks_off_and_its_guest_goes_though_nobody_reads() {
    let dropped = Arc::new(AtomicBool::new(false));
    let call = open("weak");
    call.answer(endless(&dropped));
    let frame = std::future::poll_fn(|context| call.poll_frame(context)).await;
    assert_eq!(frame.expect("a frame").expect("no error").into_data().expect("data"), "word");
    let reader = call.clone();
    let reads = tokio::spawn(async move { std::future::poll_fn(|context| reader.poll_frame(context)).await });
    tokio::task::yield_now().await;
    call.cut(revoked());
    assert!(dropped.load(Ordering::SeqCst), "before anybody reads on");
    assert!(reads.await.expect("no panic").expect("not an end").is_err(), "whoever waits is told");
    assert!(!call.is_end_stream(), "what was cut is not complete");
    // An answer that comes too late is dropped too.
    let late = Arc::new(AtomicBool::new(false));
    call.answer(endless(&late));
    assert!(late.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_call_meets_the_new_policy_on_either_side_of_a_swap() {
    let mesh = mesh();
    let before = mesh.snapshot();
    let (mut weak, mut strong) = (record(&mesh, "weak"), record(&mesh, "strong"));
    weak.go_on(&mesh.open);
    strong.go_on(&mesh.open);
    assert!(mesh.is_in_force(&before));
    mesh.swap(Arc::new(fixture::snapshot(2, Verdict::Allow, &deny("weak"))));
    mesh.judge_open_calls().await;
    let cut = [weak, strong].map(|record| record.call().why_cut().map(|cut| cut.failure.reason));
    assert_eq!(cut, [Some(Reason::AuthzDenyRule), None]);
    // Whoever enters now was judged by what is no longer in force, and is told so.
    assert!(!mesh.is_in_force(&before));
    mesh.judge_open_calls().await;
}

fn record(mesh: &Mesh, caller: &str) -> Box<Record> {
    mesh.records.start(&call(caller))
}

#[tokio::test]
async fn a_refusal_is_read_whole_and_a_cut_answer_is_recorded_as_cut() {
    let mesh = mesh();
    let mut early = record(&mesh, "weak");
    early.go_on(&mesh.open);
    let call = early.call();
    call.cut(revoked());
    let refused = early.finish(call.until_cut(std::future::pending()).await);
    assert_eq!((refused.outcome.status.as_u16(), refused.outcome.code()), (403, "AUTHZ_REVOKED"));
    let words = refused.response.into_body().collect().await.expect("the words").to_bytes();
    assert!(words.starts_with(b"{") && String::from_utf8_lossy(&words).contains("AUTHZ_DENIED"), "{words:?}");

    let mut streaming = record(&mesh, "weak");
    streaming.go_on(&mesh.open);
    let call = streaming.call();
    let answer = streaming.finish(Ok(http::Response::new(endless(&Arc::default()))));
    assert_eq!(mesh.open.len(), 1);
    call.cut(revoked());
    let mut body = answer.response.into_body();
    assert!(body.frame().await.expect("not an end").is_err());
    assert!(mesh.open.is_empty());
    let kept = mesh.records.kept(answer.decision).expect("kept");
    assert_eq!((kept.status, kept.reason), (200, Some(Reason::AuthzRevoked)));
    assert_eq!(kept.ending.map(|ending| (ending.end.as_str(), ending.bytes)), Some(("cut", 0)));

    let whole = record(&mesh, "strong").finish(Ok(http::Response::new(full("hi"))));
    let kept = mesh.records.kept(whole.decision).expect("kept as soon as the head is made");
    assert_eq!((kept.status, kept.reason, kept.ending), (200, None, None));
    whole.response.into_body().collect().await.expect("the body");
    let kept = mesh.records.kept(whole.decision).expect("kept");
    assert_eq!(kept.ending.map(|ending| (ending.end.as_str(), ending.bytes)), Some(("complete", 2)));
}
