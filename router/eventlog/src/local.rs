//! The embedded engine: a directory, owned by one process.
//!
//! ```text
//! DIR/format                         what may read this directory
//!     lock                           held (flock) while open
//!     topics/<name>/*.seg            see segment.rs
//!     consumers/<name>/position      see consumer/position.rs
//!                      settled/ retries/ dead/    logs since the position, see consumer/entry.rs
//!     journals/<name>/checkpoint     see journal.rs
//!                     entries/
//!     trash/                         what is being deleted; emptied at open
//!     reserve                        see space.rs
//! ```

mod committer;
mod consumer;
mod entries;
mod fields;
mod journal;
mod log;
mod mark;
mod record;
mod recovery;
mod segment;
mod space;
mod storage;
#[cfg(test)]
mod tests;
mod topic;
mod whole;
mod window;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::lock::lock;
use crate::record::check_name;
use crate::{Clock, Consumer, Counters, EventLog, Journal, LogError, Start, Topic, TopicConfig};
use consumer::LocalConsumer;
use journal::{JournalHandle, LocalJournal};
use space::Space;
pub(crate) use storage::is_full;
pub use storage::{Disk, File, Storage};
use topic::{LocalTopic, TopicHandle};

const FORMAT_MAGIC: [u8; 8] = *b"weftdir\0";
/// How often topics and journals are tended: the longest a relaxed append stays unsynced, how late retention by age is,
/// and how far the marks are behind.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// A log in a directory.
pub struct LocalLog {
    root: PathBuf,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    epoch: Instant,
    rooms: Arc<tokio::sync::Mutex<Rooms>>,
    space: Arc<Space>,
    /// Given up by `close`.
    held: Mutex<Option<Box<dyn Send + Sync>>>,
    trashed: AtomicU64,
}

#[derive(Default)]
struct Rooms {
    closed: bool,
    topics: HashMap<String, Arc<LocalTopic>>,
    consumers: HashMap<String, Arc<LocalConsumer>>,
    journals: HashMap<String, Arc<LocalJournal>>,
    /// Topic and floor of the consumers that are on disk and not open. No topic: not known.
    sleeping: HashMap<String, (Option<String>, u64)>,
}

impl LocalLog {
    /// Opens the log in `dir`, creating it if there is none. To be called in a tokio runtime.
    ///
    /// # Errors
    /// `Locked` when another process has it; `NewerFormat` before anything is written; `Io`.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        Self::open_with(dir, clock, Arc::new(Disk)).await
    }

    /// As [`LocalLog::open`], on another file system.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(dir: &Path, clock: Arc<dyn Clock>, storage: Arc<dyn Storage>) -> Result<Self, LogError> {
        let (root, disk) = (dir.to_owned(), storage.clone());
        let (held, space, sleeping) = blocking("the log", move || prepare(&root, &disk)).await?;
        let rooms = Arc::new(tokio::sync::Mutex::new(Rooms { sleeping, ..Rooms::default() }));
        let space = Arc::new(space);
        tokio::spawn(tend(Arc::downgrade(&rooms), space.clone()));
        let (held, trashed) = (Mutex::new(Some(held)), AtomicU64::new(0));
        Ok(Self { root: dir.to_owned(), storage, clock, epoch: Instant::now(), rooms, space, held, trashed })
    }

    async fn rooms(&self) -> Result<tokio::sync::MutexGuard<'_, Rooms>, LogError> {
        let rooms = self.rooms.lock().await;
        if rooms.closed { Err(LogError::Closed { name: "the log".to_owned() }) } else { Ok(rooms) }
    }

    /// Makes a directory vanish at once and then deletes it; answers whether it was there.
    async fn discard(&self, dir: PathBuf) -> Result<bool, LogError> {
        let to = self.root.join("trash").join(self.trashed.fetch_add(1, Ordering::Relaxed).to_string());
        let storage = self.storage.clone();
        let discard = move || {
            match storage.rename(&dir, &to) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                renamed => renamed.map_err(LogError::io("delete", &dir))?,
            }
            for parent in [dir.parent(), to.parent()].into_iter().flatten() {
                storage.sync_dir(parent).map_err(LogError::io("sync", parent))?;
            }
            storage.remove_dir(&to).map_err(LogError::io("delete", &to))?;
            Ok(true)
        };
        blocking("the log", discard).await
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    // Only a runtime that is shutting down does not finish it.
    tokio::task::spawn_blocking(work).await.map_err(|_| LogError::Closed { name: name.to_owned() })?
}

type Sleeping = HashMap<String, (Option<String>, u64)>;

/// The directory's lock.
type Held = Box<dyn Send + Sync>;

/// Locks the directory, checks its format, empties the trash, keeps some space, and looks who needs what.
fn prepare(root: &Path, disk: &Arc<dyn Storage>) -> Result<(Held, Space, Sleeping), LogError> {
    let storage = disk.as_ref();
    storage.create_dir(root).map_err(LogError::io("create", root))?;
    let lock = root.join("lock");
    let held = storage.lock(&lock).map_err(LogError::io("lock", &lock))?;
    let held = held.ok_or_else(|| LogError::Locked { dir: root.to_owned() })?;
    // A damaged format file says nothing; the files themselves are checked one by one.
    match whole::read(storage, &root.join("format"), FORMAT_MAGIC) {
        Ok(Some(_)) => {}
        Ok(None) | Err(LogError::Corrupt { .. }) => {
            sync_above(storage, root)?;
            whole::replace(storage, root, "format", FORMAT_MAGIC, &[])?;
        }
        Err(error) => return Err(error),
    }
    for name in ["topics", "consumers", "journals", "trash"] {
        let dir = root.join(name);
        storage.create_dir(&dir).map_err(LogError::io("create", &dir))?;
    }
    let trash = root.join("trash");
    for name in storage.list(&trash).map_err(LogError::io("list", &trash))? {
        let gone = trash.join(name);
        storage.remove_dir(&gone).map_err(LogError::io("delete", &gone))?;
    }
    let space = Space::open(disk.clone(), root)?;
    storage.sync_dir(root).map_err(LogError::io("sync", root))?;
    let sleeping = consumer::floors(storage, &root.join("consumers"))?;
    Ok((held, space, sleeping.into_iter().map(|(name, topic, floor)| (name, (topic, floor))).collect()))
}

/// Makes the directory itself survive a loss of power, which takes a sync of each one above it that may be new.
fn sync_above(storage: &dyn Storage, root: &Path) -> Result<(), LogError> {
    for dir in root.ancestors().skip(1) {
        // The path of a relative directory ends with nothing.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match storage.sync_dir(dir) {
            // Where nothing may be read nothing was made either.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(LogError::io("sync", dir))?,
        }
    }
    Ok(())
}

/// Tends topics, journals and the reserve until the log is gone or closed.
async fn tend(rooms: Weak<tokio::sync::Mutex<Rooms>>, space: Arc<Space>) {
    loop {
        tokio::time::sleep(TEND_EVERY).await;
        let Some(rooms) = rooms.upgrade() else { return };
        let rooms = rooms.lock().await;
        if rooms.closed {
            return;
        }
        let topics: Vec<_> = rooms.topics.values().cloned().collect();
        let journals: Vec<_> = rooms.journals.values().cloned().collect();
        drop(rooms);
        let space = space.clone();
        let tended = blocking("the log", move || {
            space.tend();
            topics.iter().for_each(|topic| topic.tend());
            journals.iter().for_each(|journal| journal.tend());
            Ok(())
        });
        if tended.await.is_err() {
            return;
        }
    }
}

/// A name as one part of a path: `/` becomes `+`, and what could mean something to a file system `%XX`.
fn part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'/' => part.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => part.push(char::from(byte)),
            b'.' if at > 0 => part.push('.'),
            _ => part.push_str(&format!("%{byte:02X}")),
        }
    }
    part
}

#[async_trait]
impl EventLog for LocalLog {
    async fn topic(&self, name: &str, config: TopicConfig) -> Result<Arc<dyn Topic>, LogError> {
        check_name(name)?;
        let mut rooms = self.rooms().await?;
        if let Some(topic) = rooms.topics.get(name) {
            topic.configure(config);
            return Ok(Arc::new(TopicHandle(topic.clone())));
        }
        let (storage, space) = (self.storage.clone(), self.space.clone());
        let (clock, parent) = (self.clock.clone(), self.root.join("topics"));
        let (dir, title) = (parent.join(part(name)), name.to_owned());
        let open = move || {
            let topic = LocalTopic::open(storage.clone(), dir, &title, config, (clock, space))?;
            storage.sync_dir(&parent).map_err(LogError::io("sync", &parent))?;
            Ok(Arc::new(topic))
        };
        let topic = blocking(name, open).await?;
        for (consumer, (reads, floor)) in &rooms.sleeping {
            if reads.as_deref().is_none_or(|reads| reads == name) {
                lock(&topic.shared.floors).insert(consumer.clone(), Arc::new(AtomicU64::new(*floor)));
            }
        }
        rooms.topics.insert(name.to_owned(), topic.clone());
        Ok(Arc::new(TopicHandle(topic)))
    }

    async fn delete_topic(&self, name: &str) -> Result<bool, LogError> {
        check_name(name)?;
        let mut rooms = self.rooms().await?;
        let open = rooms.consumers.iter().find(|(_, consumer)| consumer.topic_name() == name).map(|(by, _)| by);
        let asleep = rooms.sleeping.iter().find(|(_, (topic, _))| topic.as_deref() == Some(name)).map(|(by, _)| by);
        if let Some(by) = open.or(asleep) {
            return Err(LogError::InUse { name: name.to_owned(), by: by.clone() });
        }
        if let Some(topic) = rooms.topics.remove(name) {
            blocking(name, move || topic.close()).await?;
        }
        self.discard(self.root.join("topics").join(part(name))).await
    }

    async fn consumer(&self, name: &str, topic: &str, start: Start) -> Result<Arc<dyn Consumer>, LogError> {
        check_name(name)?;
        let mut rooms = self.rooms().await?;
        let missing = || LogError::NotFound { what: "topic", name: topic.to_owned() };
        if let Some(consumer) = rooms.consumers.get(name) {
            if consumer.topic_name() != topic {
                return Err(LogError::InUse { name: name.to_owned(), by: consumer.topic_name() });
            }
            return Ok(consumer.handle());
        }
        let topic = rooms.topics.get(topic).cloned().ok_or_else(missing)?;
        let (storage, space) = (self.storage.clone(), self.space.clone());
        let (times, parent) = ((self.clock.clone(), self.epoch), self.root.join("consumers"));
        let (dir, title) = (parent.join(part(name)), name.to_owned());
        let open = move || {
            let consumer = LocalConsumer::open((storage.clone(), space), dir, &title, topic, start, times)?;
            storage.sync_dir(&parent).map_err(LogError::io("sync", &parent))?;
            Ok(Arc::new(consumer))
        };
        let consumer = blocking(name, open).await?;
        // Its floor was entered under its name, or that of its directory if its position was damaged.
        for known in [name.to_owned(), part(name)] {
            rooms.sleeping.remove(&known);
            if known != name {
                rooms.topics.values().for_each(|topic| drop(lock(&topic.shared.floors).remove(&known)));
            }
        }
        rooms.consumers.insert(name.to_owned(), consumer.clone());
        Ok(consumer.handle())
    }

    async fn delete_consumer(&self, name: &str) -> Result<Counters, LogError> {
        let asleep = self.rooms().await?.sleeping.get(name).and_then(|(topic, _)| topic.clone());
        if let Some(topic) = asleep {
            // Opened once more, so that its account can be closed.
            self.consumer(name, &topic, Start::End).await?;
        }
        let mut rooms = self.rooms().await?;
        let gone = rooms.consumers.remove(name);
        let gone = gone.ok_or_else(|| LogError::NotFound { what: "consumer", name: name.to_owned() })?;
        // What could not be written down is deleted anyway.
        let (_, mut counters) = gone.close().await;
        lock(&gone.topic.shared.floors).remove(name);
        counters.cancelled += counters.pending;
        counters.pending = 0;
        self.discard(self.root.join("consumers").join(part(name))).await?;
        Ok(counters)
    }

    async fn consumers(&self) -> Result<Vec<String>, LogError> {
        let rooms = self.rooms().await?;
        let mut names: Vec<String> = rooms.consumers.keys().chain(rooms.sleeping.keys()).cloned().collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn journal(&self, name: &str) -> Result<Arc<dyn Journal>, LogError> {
        check_name(name)?;
        let mut rooms = self.rooms().await?;
        if let Some(journal) = rooms.journals.get(name) {
            return Ok(Arc::new(JournalHandle(journal.clone())));
        }
        let (storage, clock, parent) = (self.storage.clone(), self.clock.clone(), self.root.join("journals"));
        let (dir, title) = (parent.join(part(name)), name.to_owned());
        let open = move || {
            let journal = LocalJournal::open(storage.clone(), dir, &title, clock)?;
            storage.sync_dir(&parent).map_err(LogError::io("sync", &parent))?;
            Ok(Arc::new(journal))
        };
        let journal = blocking(name, open).await?;
        rooms.journals.insert(name.to_owned(), journal.clone());
        Ok(Arc::new(JournalHandle(journal)))
    }

    async fn close(&self) -> Result<(), LogError> {
        let mut rooms = self.rooms.lock().await;
        rooms.closed = true;
        let mut outcome = Ok(());
        for (_, consumer) in rooms.consumers.drain() {
            outcome = outcome.and(consumer.close().await.0);
        }
        let (topics, journals) = (std::mem::take(&mut rooms.topics), std::mem::take(&mut rooms.journals));
        let closed = blocking("the log", move || {
            let journals = journals.values().map(|journal| journal.close()).fold(Ok(()), Result::and);
            topics.values().map(|topic| topic.close()).fold(journals, Result::and)
        });
        outcome = outcome.and(closed.await);
        drop(lock(&self.held).take());
        outcome
    }
}
