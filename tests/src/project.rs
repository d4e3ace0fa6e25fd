//! A folder of manifests and a data directory of its own, as a user has them: what outlives a node, so that a test can
//! start another on it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::{self, Run};
use crate::modules;
use crate::node::{DidNotStart, Node, Options};

/// A folder of manifests with its data. Removed when it is dropped, so it must outlive its nodes.
pub struct Project {
    home: TempDir,
}

impl Project {
    /// A project whose only manifest, `app.yaml`, is `text`.
    pub fn new(text: &str) -> Self {
        let project = Self { home: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(project.folder()).expect("the project's folder");
        project.write("app.yaml", text);
        project
    }

    /// The folder of manifests.
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("app")
    }

    /// Where nodes keep what survives them.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A path in the folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder().join(file)
    }

    /// Writes a file of the folder, with the guests that it names as `./NAME.wasm` beside it. The file is replaced at
    /// once, so that a watching node never reads half of it.
    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        let beside = path.parent().expect("a folder");
        fs::create_dir_all(beside).expect("the file's folder");
        let readable = String::from_utf8_lossy(text.as_ref()).into_owned();
        for guest in modules::guests().filter(|guest| readable.contains(&format!("./{guest}.wasm"))) {
            copy_once(&modules::guest(guest), &beside.join(format!("{guest}.wasm")));
        }
        let unfinished = self.home.path().join("unfinished");
        fs::write(&unfinished, text).expect("a file of the project");
        fs::rename(&unfinished, &path).expect("a file of the project");
    }

    /// Removes a file of the folder.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).expect("a file of the project");
    }

    /// Starts `weft dev` on the project and waits until it is ready.
    pub async fn start(&self) -> Node {
        self.start_with(Options::default()).await.unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// Starts `weft dev` with options; the error is how it ended instead of becoming ready.
    ///
    /// # Errors
    /// The node ended before it was ready.
    pub async fn start_with(&self, options: Options) -> Result<Node, DidNotStart> {
        Node::start(&self.folder(), &self.data(), options).await
    }

    /// Runs a command that needs no node, in the folder.
    pub async fn weft(&self, words: &[&str]) -> Run {
        cli::run(words, &self.folder(), None, b"").await
    }
}

fn copy_once(from: &Path, to: &Path) {
    if !to.exists() {
        fs::copy(from, to).expect("a guest");
    }
}
