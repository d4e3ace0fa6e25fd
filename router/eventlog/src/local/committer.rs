//! Group commit: whoever has something to write queues it; one blocking task at a time takes all that is queued and
//! commits it as one. Separate because topics, journals and consumers queue different things in the same way.

use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::{LogError, MAX_QUEUED_APPENDS, MAX_QUEUED_BYTES};

/// What commits a group of requests. Requests carry their own way to be answered.
pub(super) trait Commit: Send + 'static {
    /// A thing to write.
    type Request: Send + 'static;

    /// Writes all and answers each. Blocks.
    fn commit(&mut self, requests: Vec<Self::Request>);
}

/// A queue in front of a `Commit`.
pub(super) struct Committer<C: Commit> {
    name: String,
    queue: Mutex<Queue<C::Request>>,
    commit: Mutex<C>,
}

struct Queue<R> {
    requests: Vec<R>,
    bytes: usize,
    /// A blocking task is committing and will look at the queue again.
    running: bool,
    closed: bool,
}

impl<C: Commit> Committer<C> {
    pub(super) fn new(name: String, commit: C) -> Arc<Self> {
        let queue = Queue { requests: Vec::new(), bytes: 0, running: false, closed: false };
        Arc::new(Self { name, queue: Mutex::new(queue), commit: Mutex::new(commit) })
    }

    /// Queues a request of about `bytes`. It is committed even if nobody waits for the answer.
    ///
    /// # Errors
    /// `Busy`, `Closed`: it was not queued.
    pub(super) fn submit(self: &Arc<Self>, request: C::Request, bytes: usize) -> Result<(), LogError> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(LogError::Closed { name: self.name.clone() });
        }
        let full = queue.requests.len() >= MAX_QUEUED_APPENDS || queue.bytes.saturating_add(bytes) > MAX_QUEUED_BYTES;
        if full && !queue.requests.is_empty() {
            return Err(LogError::Busy { name: self.name.clone() });
        }
        queue.requests.push(request);
        queue.bytes += bytes;
        if !queue.running {
            queue.running = true;
            let committer = self.clone();
            tokio::task::spawn_blocking(move || committer.run());
        }
        Ok(())
    }

    fn run(&self) {
        loop {
            // Taken first: whoever else holds it finds nothing that left the queue and is not committed.
            let mut commit = lock(&self.commit);
            let requests = self.take();
            if requests.is_empty() {
                return;
            }
            commit.commit(requests);
        }
    }

    /// Everything queued; a task that gets nothing is done.
    fn take(&self) -> Vec<C::Request> {
        let mut queue = lock(&self.queue);
        queue.bytes = 0;
        queue.running = !queue.requests.is_empty();
        std::mem::take(&mut queue.requests)
    }

    /// Does something with the `Commit` between two groups. Blocks.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut C) -> T) -> T {
        act(&mut lock(&self.commit))
    }

    /// Takes no more requests. What is queued is still committed, and nothing is under way when this returns. Blocks.
    pub(super) fn close(&self) {
        lock(&self.queue).closed = true;
        let mut commit = lock(&self.commit);
        let requests = self.take();
        if !requests.is_empty() {
            commit.commit(requests);
        }
    }
}
