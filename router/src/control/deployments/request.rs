//! What somebody asks to apply, and how its documents become resources with modules. Everything that reads a folder's
//! files blocks, so it runs on the threads for that.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weft_functions::function::Function;
use weft_functions::manifest::{self, Problem, Resource, ResourceId, SourceFile};

use super::super::desired::{Incoming, Plan, Scope};
use super::super::folder;
use super::super::modules::{ModuleDigest, ModuleError, ModuleStore, read_file};
use super::error::ApplyError;
use super::judge::Judge;

/// Documents to apply.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    /// The manifests.
    pub files: Vec<SourceFile>,
    /// Where their modules are.
    pub modules: ModulesFrom,
    /// Added to what is there, or the whole folder.
    pub scope: Scope,
    /// Only say what would change. Modules are not compiled.
    pub dry_run: bool,
    /// Whether whoever asks may change what this changes.
    pub judge: Judge,
}

/// Where the modules of a request are.
#[derive(Debug, Clone)]
pub enum ModulesFrom {
    /// In files, relative to each manifest, whose name is relative to this folder.
    Folder(PathBuf),
    /// In the store already.
    Uploaded(Vec<UploadedModule>),
}

/// Which module a manifest's word means.
#[derive(Debug, Clone)]
pub struct UploadedModule {
    /// The manifest's file.
    pub file: Box<str>,
    /// `spec.module` as written there.
    pub module: Box<str>,
    /// What was uploaded for it.
    pub digest: ModuleDigest,
}

/// Documents, read and resolved. With problems, the plan for the rest still finds further ones.
pub(super) struct Resolved {
    pub(super) incoming: Vec<Incoming>,
    /// Files that hold modules; the store may have them already.
    pub(super) sources: BTreeMap<ResourceId, PathBuf>,
    pub(super) problems: Vec<Problem>,
}

/// Parses the documents and finds each function's module.
///
/// # Errors
/// `Mistakes` when the documents cannot be read as resources at all.
pub(super) async fn resolve(request: ApplyRequest, store: Arc<ModuleStore>) -> Result<Resolved, ApplyError> {
    blocking(move || {
        let resources = manifest::parse(&request.files).map_err(ApplyError::Mistakes)?;
        let finder = Finder::new(&request.modules, &store);
        let mut resolved = Resolved { incoming: Vec::new(), sources: BTreeMap::new(), problems: Vec::new() };
        for resource in resources {
            let module = match &resource {
                Resource::Function(function) => match finder.find(function) {
                    Ok((digest, path)) => {
                        path.and_then(|path| resolved.sources.insert(resource.id(), path));
                        Some(digest)
                    }
                    Err(message) => {
                        resolved.problems.push(function.module_problem(message));
                        None
                    }
                },
                _ => None,
            };
            resolved.incoming.push(Incoming { resource, module });
        }
        Ok(resolved)
    })
    .await
}

/// Brings the modules of what the plan puts from their files into the store.
///
/// # Errors
/// `Mistakes` for a file that changed since it was resolved, `Unavailable` when the store fails.
pub(super) async fn keep_modules(
    plan: &Plan,
    sources: BTreeMap<ResourceId, PathBuf>,
    store: Arc<ModuleStore>,
) -> Result<(), ApplyError> {
    let unavailable = |error: ModuleError| ApplyError::Unavailable(error.to_string());
    for (id, path) in sources {
        let Some((entry, digest)) = plan.put.get(&id).and_then(|entry| Some((entry, entry.module?))) else { continue };
        let store = store.clone();
        let kept = blocking(move || {
            if store.contains(digest) {
                return Ok(None);
            }
            let bytes = match read_file(&path) {
                Ok(bytes) if ModuleDigest::of(&bytes) == digest => bytes,
                Ok(_) => return Ok(Some("it changed while it was read; apply again".to_owned())),
                Err(error) => return Ok(Some(unreadable(&error))),
            };
            store.put(digest, &bytes).map(|_| None).map_err(unavailable)
        });
        if let (Some(why), Resource::Function(function)) = (kept.await?, &entry.resource) {
            let message = format!("module: {}: {why}", function.spec.module);
            return Err(ApplyError::Mistakes(vec![function.module_problem(message)]));
        }
    }
    Ok(())
}

/// Finds modules by what manifests write.
enum Finder<'a> {
    Folder(&'a Path),
    Uploaded { by_word: HashMap<(&'a str, &'a str), ModuleDigest>, store: &'a ModuleStore },
}

impl<'a> Finder<'a> {
    fn new(from: &'a ModulesFrom, store: &'a ModuleStore) -> Self {
        match from {
            ModulesFrom::Folder(root) => Self::Folder(root),
            ModulesFrom::Uploaded(uploaded) => {
                let by_word = uploaded.iter().map(|upload| ((&*upload.file, &*upload.module), upload.digest));
                Self::Uploaded { by_word: by_word.collect(), store }
            }
        }
    }

    /// The module's digest, and its file if that is where it is.
    fn find(&self, function: &Function) -> Result<(ModuleDigest, Option<PathBuf>), String> {
        let word = &*function.spec.module;
        match self {
            Self::Folder(root) => {
                let path = folder::module_path(root, &function.location.file, word);
                match ModuleDigest::of_file(&path) {
                    Ok(digest) => Ok((digest, Some(path))),
                    Err(error) => Err(format!("module: {word}: {}", unreadable(&error))),
                }
            }
            Self::Uploaded { by_word, store } => match by_word.get(&(&*function.location.file, word)) {
                None => Err(format!("module: {word}: not among the request's modules; name its digest there")),
                Some(digest) if store.contains(*digest) => Ok((*digest, None)),
                Some(digest) => Err(format!("module: {word}: the node does not have {digest}; upload it first")),
            },
        }
    }
}

/// Why a module cannot be read, and what to do.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file; build it first".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Runs what blocks on the threads for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApplyError> + Send + 'static,
) -> Result<T, ApplyError> {
    let task = tokio::task::spawn_blocking(work).await;
    task.unwrap_or_else(|error| Err(ApplyError::Unavailable(format!("reading the request failed: {error}"))))
}
