//! The watched folder: applies it whole at a start and after each change. A change that cannot be applied is reported and
//! the last good snapshot kept.
//!
//! Each folder is watched by itself, so that hidden ones (the node's own data among them), `target` and `node_modules`
//! cost nothing and wake nobody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use weft_functions::manifest::Resource;

use super::deployments::{Applied, ApplyError, ApplyRequest, Deployments, Judge, ModulesFrom};
use super::desired::{ChangeKind, Owner, Scope};
use super::folder::{self, FolderError};

/// How long a folder must be quiet before it is read: editors and compilers write a file in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// How long reading is put off while changes go on without a pause.
const PUT_OFF_MAX: Duration = Duration::from_secs(2);

/// Why the folder was not applied. The last good snapshot is in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It was refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl LoadError {
    /// For people: every mistake with its snippet, or the one sentence. Ends without a line break.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Folder(error) => error.to_string(),
            Self::Apply(error) => error.render(colour),
        }
    }
}

/// Applies the folder as it is now.
///
/// # Errors
/// See [`LoadError`]; nothing has changed then.
pub async fn load(dir: &Path, deployments: &Deployments) -> Result<Applied, LoadError> {
    let root = dir.to_owned();
    let read = tokio::task::spawn_blocking(move || folder::read(&root)).await;
    let files = read
        .unwrap_or_else(|error| Err(FolderError::Io { path: dir.to_owned(), source: std::io::Error::other(error) }))?;
    let (modules, judge) = (ModulesFrom::Folder(dir.to_owned()), Judge::node());
    let request = ApplyRequest { files, modules, scope: Scope::Replace, dry_run: false, judge };
    Ok(deployments.apply(request).await?)
}

/// One line on what a reload did; `None` when it changed nothing.
pub fn summary(applied: &Applied) -> Option<String> {
    let count = |what| applied.changes.iter().filter(|change| change.what == what).count();
    let (changed, added, removed) =
        (count(ChangeKind::Changed), count(ChangeKind::Created), count(ChangeKind::Deleted));
    let snapshot = applied.snapshot;
    (changed + added + removed > 0)
        .then(|| format!("reloaded: {changed} changed, {added} added, {removed} removed (snapshot {snapshot})"))
}

/// The folder is not watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {}: {source}; changes need a restart", path.display())]
pub struct WatchError {
    /// Which folder.
    pub path: PathBuf,
    /// Why.
    pub source: notify::Error,
}

/// A watch on a folder of manifests and on the folders of their modules.
pub struct Watch {
    dir: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Begins to watch. To be called before the first [`load`], so that no change between the two is missed.
    ///
    /// # Errors
    /// The system refuses to watch the folder.
    pub fn begin(dir: &Path) -> Result<Self, WatchError> {
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let on_event = move |event: notify::Result<Event>| {
            // An error, such as a queue that ran over, may stand for a change.
            if event.as_ref().map_or(true, is_change) {
                wake.notify_one();
            }
        };
        let refused = |source| WatchError { path: dir.to_owned(), source };
        let mut watcher = notify::recommended_watcher(on_event).map_err(refused)?;
        watcher.watch(dir, RecursiveMode::NonRecursive).map_err(refused)?;
        Ok(Self { dir: dir.to_owned(), watcher, watched: BTreeSet::from([dir.to_owned()]), changed })
    }

    /// Applies the folder after each change until `shutdown`, and hands every result to `report`.
    pub async fn run(
        mut self,
        deployments: Deployments,
        report: impl Fn(Result<Applied, LoadError>),
        shutdown: CancellationToken,
    ) {
        // Folders below are watched only now, so a change in them may have been missed: look once.
        if self.follow(&deployments).await {
            report(load(&self.dir, &deployments).await);
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.settled() => {}
            }
            // Watch first, read second: what changes in a new folder after it was read wakes us again.
            self.follow(&deployments).await;
            report(load(&self.dir, &deployments).await);
            self.follow(&deployments).await;
        }
    }

    /// Waits for a change, and until changes pause.
    async fn settled(&self) {
        self.changed.notified().await;
        let end = Instant::now() + PUT_OFF_MAX;
        while let Ok(Ok(())) = timeout_at(end, timeout(QUIET, self.changed.notified())).await {}
    }

    /// Watches what is to be watched now; answers whether that is more than before.
    async fn follow(&mut self, deployments: &Deployments) -> bool {
        let root = self.dir.clone();
        let listed = tokio::task::spawn_blocking(move || folder::list(&root)).await;
        // A folder that cannot be listed is reported by the load that follows.
        let Ok(Ok(listing)) = listed else { return false };
        let mut wanted: BTreeSet<PathBuf> = listing.folders.into_iter().collect();
        wanted.extend(module_folders(&self.dir, deployments));
        let gone: Vec<PathBuf> = self.watched.difference(&wanted).cloned().collect();
        for path in gone {
            self.watched.remove(&path);
            // A folder that was removed is not watched any more: nothing is left to undo.
            let _ = self.watcher.unwatch(&path);
        }
        let fresh: Vec<PathBuf> = wanted.difference(&self.watched).cloned().collect();
        let mut more = false;
        for path in fresh {
            match self.watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => more |= self.watched.insert(path),
                // Tried again at the next change; until then this folder's own changes go unseen.
                Err(error) => tracing::debug!(folder = %path.display(), %error, "cannot watch a folder"),
            }
        }
        more
    }
}

/// The folders of the modules that the folder's functions name.
fn module_folders(root: &Path, deployments: &Deployments) -> BTreeSet<PathBuf> {
    let view = deployments.view();
    let of_files = view.desired.entries.values().filter(|entry| entry.owner == Owner::File);
    let modules = of_files.filter_map(|entry| match &entry.resource {
        Resource::Function(function) => {
            let path = folder::module_path(root, &function.location.file, &function.spec.module);
            path.parent().filter(|parent| parent.is_dir()).map(Path::to_owned)
        }
        _ => None,
    });
    modules.collect()
}

/// Whether something was written, made, moved or removed, and not only looked at (by ourselves, for one).
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
