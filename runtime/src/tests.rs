//! The whole runtime with small guests written as text: `tests/guest.wat` with a few instructions in it.

mod calls;
mod deploys;
mod isolation;
mod lifecycle;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;

/// Instructions that answer `hello`.
const HELLO: &str = "(call $begin (local.get $out)) (call $say) (call $end)";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(60);

/// A component that does this when it is called.
fn guest(handle: &str) -> Bytes {
    guest_with_start("", handle)
}

/// A component that does the one when it is instantiated and the other when it is called.
fn guest_with_start(start: &str, handle: &str) -> Bytes {
    let text = include_str!("tests/guest.wat").replace("$START", start).replace("$HANDLE", handle);
    wat::parse_str(text).unwrap().into()
}

/// Writes down what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn write(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Notes {
    fn cold_start(&self, function: &FunctionName, revision: &str, phases: ColdStart) {
        assert!(phases.load > Duration::ZERO && phases.instantiate > Duration::ZERO, "{phases:?}");
        self.write(format!("{function} {revision} cold"));
    }

    fn scaled(&self, function: &FunctionName, revision: &str, from: u32, to: u32, why: &str) {
        self.write(format!("{function} {revision} {from}->{to} {why}"));
    }

    fn guest_line(&self, function: &FunctionName, revision: &str, stream: GuestStream, line: &str) {
        self.write(format!("{function} {revision} {}: {line}", stream.as_str()));
    }

    fn guest_lines_dropped(&self, function: &FunctionName, revision: &str, lines: u64) {
        self.write(format!("{function} {revision} dropped {lines}"));
    }
}

/// A runtime in a directory of its own.
struct Stage {
    dir: TempDir,
    notes: Arc<Notes>,
    runtime: Runtime,
}

fn config(dir: &Path) -> Config {
    Config { instances_max: 20, memory_max: 16 << 20, guest_threads: 1, ..Config::new(dir) }
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes::default());
        let runtime = Runtime::new(config(dir.path()), notes.clone()).unwrap();
        Self { dir, notes, runtime }
    }

    /// The same node, after a restart.
    fn restart(self) -> Self {
        let Self { dir, notes, runtime } = self;
        drop(runtime);
        let runtime = Runtime::new(config(dir.path()), notes.clone()).unwrap();
        Self { dir, notes, runtime }
    }

    async fn deploy(&self, handle: &str) -> Revision {
        self.runtime.deploy(spec(guest(handle))).await.unwrap()
    }

    async fn deploy_with(&self, handle: &str, change: impl FnOnce(&mut RevisionSpec)) -> Revision {
        let mut spec = spec(guest(handle));
        change(&mut spec);
        self.runtime.deploy(spec).await.unwrap()
    }
}

fn spec(module: Bytes) -> RevisionSpec {
    RevisionSpec {
        function: FunctionName { namespace: "default".into(), name: "hello".into() },
        revision: "hello-00001".into(),
        module: Module::Bytes(module),
        env: Vec::new(),
        limits: Limits { memory: 8 << 20, ..Limits::default() },
        scale: Scale::default(),
        isolation: Isolation::default(),
    }
}

fn get() -> Invocation {
    let request = Request::get("http://hello.default.weft.internal/").body(empty()).unwrap();
    Invocation { request, deadline: Instant::now() + LONG, outbound: Arc::new(Nowhere) }
}

struct Nowhere;

#[async_trait]
impl Outbound for Nowhere {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Denied)
    }
}

/// Calls, and reads the whole body.
async fn call(revision: &Revision) -> Result<Result<Bytes, BodyError>, InvokeError> {
    let response = revision.invoke(get()).await?;
    Ok(response.into_body().collect().await.map(http_body_util::Collected::to_bytes))
}

/// Waits until something is so, with a deadline.
async fn eventually(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
