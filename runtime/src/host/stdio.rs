//! What a guest prints: split into lines, made harmless, bounded per second, and handed to the observer. Separate,
//! because a guest's output is hostile text until it has gone through here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncWrite, sink};
use tokio::time::Instant;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

pub(crate) use self::budget::LogBudget;
use self::lines::{Lines, escape};
use crate::{FunctionName, GuestStream, Observer, limits};

mod budget;
mod lines;

/// Where the lines of one revision go.
pub(crate) struct GuestLog {
    pub(crate) function: FunctionName,
    pub(crate) revision: Arc<str>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Shared by all revisions of the function.
    pub(crate) budget: Arc<Mutex<LogBudget>>,
}

impl GuestLog {
    /// A new stream of one store. Its last line is handed over when the store is dropped, with or without a line end.
    pub(crate) fn stream(self: &Arc<Self>, stream: GuestStream) -> Output {
        let lines = Mutex::new(Lines::default());
        Output(Arc::new(Writer { log: self.clone(), stream, lines }))
    }

    fn line(self: &Arc<Self>, stream: GuestStream, line: &[u8]) {
        let admitted = lock(&self.budget).admit(Instant::now(), line.len());
        match admitted {
            budget::Admitted::Yes => {
                self.observer.guest_line(&self.function, &self.revision, stream, &escape(line));
            }
            budget::Admitted::No => {}
            budget::Admitted::FirstDropped { report_at } => self.report_drops(report_at),
        }
    }

    /// Says how many lines were dropped when the second is over. At most one such task runs for a function.
    fn report_drops(self: &Arc<Self>, at: Instant) {
        let log = self.clone();
        let report = async move {
            tokio::time::sleep_until(at).await;
            let dropped = lock(&log.budget).take_dropped();
            log.observer.guest_lines_dropped(&log.function, &log.revision, dropped);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(report)),
            // A store that is dropped while the process ends: nobody would wait for the report.
            Err(_) => drop(report),
        }
    }
}

/// A panic while a lock was held leaves counters or half a line behind, and both are still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One output stream of one store; clones of the guest's handle share it.
pub(crate) struct Output(Arc<Writer>);

struct Writer {
    log: Arc<GuestLog>,
    stream: GuestStream,
    lines: Mutex<Lines>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (log, stream) = (&self.log, self.stream);
        self.lines.get_mut().unwrap_or_else(PoisonError::into_inner).end(|line| log.line(stream, line));
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    /// Only WASI 0.1 and 0.3 would use it, and neither is linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Handle(self.0.clone()))
    }
}

struct Handle(Arc<Writer>);

impl OutputStream for Handle {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let Writer { log, stream, lines } = &*self.0;
        lock(lines).push(&bytes, |line| log.line(*stream, line));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::BODY_CHUNK_BYTES)
    }
}

#[async_trait]
impl Pollable for Handle {
    async fn ready(&mut self) {}
}
