//! A folder of manifests: which files below it are read, what they are called, and where their modules are. Plain
//! functions, because `weft check` asks the same questions offline that the watched folder asks.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use weft_functions::manifest::{FILE_BYTES_MAX, SourceFile};

/// Manifests of one folder, and folders below it. Ten thousand resources in a file each are more than a node is for.
pub const FILES_MAX: usize = 10_000;

/// Folders within folders; deeper ones are built by mistake.
const DEPTH_MAX: usize = 64;

/// Folders that hold what tools made or fetched.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A manifest is no text.
    #[error("{} is not UTF-8 text; save it as UTF-8", .0.display())]
    NotText(PathBuf),
    /// A manifest has a name that cannot be written in a message.
    #[error("{} has a name that is not UTF-8; rename it", .0.display())]
    Name(PathBuf),
    /// More than is sensible.
    #[error("{} has more than {FILES_MAX} manifests or folders, or folders more than {DEPTH_MAX} deep; name a smaller folder", .0.display())]
    TooMany(PathBuf),
}

/// What a folder holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its manifests, in the order of their paths.
    pub manifests: Vec<PathBuf>,
    /// The folder itself and all below it that were looked into.
    pub folders: Vec<PathBuf>,
}

/// Reads every manifest of the folder. Files are named relative to it, with `/` between the parts. Blocks.
///
/// # Errors
/// See [`FolderError`]: one unreadable file fails the whole, since a folder that is half read would delete the rest.
pub fn read(dir: &Path) -> Result<Vec<SourceFile>, FolderError> {
    let read = |path: &PathBuf| {
        let relative = path.strip_prefix(dir).unwrap_or(path);
        let parts: Option<Vec<&str>> = relative.components().map(|part| part.as_os_str().to_str()).collect();
        let name = parts.ok_or_else(|| FolderError::Name(path.clone()))?.join("/");
        read_file(path, &name)
    };
    list(dir)?.manifests.iter().map(read).collect()
}

/// Reads one manifest, which mistakes call `name`. No more of it than the parser takes, and one byte: what is longer is
/// for the parser to refuse. Blocks.
///
/// # Errors
/// `Io`, `NotText`.
pub fn read_file(path: &Path, name: &str) -> Result<SourceFile, FolderError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io_error(path))?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    source(name, bytes)
}

/// The manifest that these bytes are.
///
/// # Errors
/// `NotText`.
pub fn source(name: &str, bytes: Vec<u8>) -> Result<SourceFile, FolderError> {
    let too_long = bytes.len() > FILE_BYTES_MAX;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // Perhaps cut in the middle of a character: its length is the mistake, which the parser names.
        Err(error) if too_long => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        Err(_) => return Err(FolderError::NotText(name.into())),
    };
    Ok(SourceFile::new(name, text))
}

/// Lists every `*.yaml` and `*.yml` below the folder, except in hidden folders, `target` and `node_modules`. Links are
/// followed, each folder once. Blocks.
///
/// # Errors
/// `Io`, `TooMany`.
pub fn list(dir: &Path) -> Result<Listing, FolderError> {
    let mut walk = Walk { root: dir, seen: BTreeSet::new(), listing: Listing::default() };
    walk.folder(dir, 0)?;
    walk.listing.manifests.sort();
    Ok(walk.listing)
}

/// The file that a manifest means by `module`: relative to the manifest's own folder. `file` is the manifest's name,
/// relative to `root` as [`read`] gives it.
pub fn module_path(root: &Path, file: &str, module: &str) -> PathBuf {
    let manifest = root.join(file);
    manifest.parent().unwrap_or(root).join(module)
}

struct Walk<'a> {
    root: &'a Path,
    /// Real paths of folders, so that a link to a parent ends.
    seen: BTreeSet<PathBuf>,
    listing: Listing,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, depth: usize) -> Result<(), FolderError> {
        let real = dir.canonicalize().map_err(io_error(dir))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        if depth > DEPTH_MAX || self.listing.folders.len() >= FILES_MAX {
            return Err(FolderError::TooMany(self.root.to_owned()));
        }
        self.listing.folders.push(dir.to_owned());
        let entries = fs::read_dir(dir).map_err(io_error(dir))?;
        let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut paths = paths.map_err(io_error(dir))?;
        paths.sort();
        for path in paths {
            self.entry(path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, depth: usize) -> Result<(), FolderError> {
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(());
        }
        // A link to nowhere, or a file that an editor just removed, is not there.
        let Ok(metadata) = fs::metadata(&path) else { return Ok(()) };
        if metadata.is_dir() {
            let skipped = SKIPPED.iter().any(|skipped| name == OsStr::new(skipped));
            return if skipped { Ok(()) } else { self.folder(&path, depth + 1) };
        }
        let manifest = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if manifest && metadata.is_file() {
            if self.listing.manifests.len() >= FILES_MAX {
                return Err(FolderError::TooMany(self.root.to_owned()));
            }
            self.listing.manifests.push(path);
        }
        Ok(())
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, format!("# {file}")).expect("written");
        }
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        read(dir).expect("reads").iter().map(|file| file.name.to_string()).collect()
    }

    #[test]
    fn manifests_are_found_by_their_names() {
        let dir = folder(&[
            "b.yaml",
            "a.yml",
            "sub/deep/c.yaml",
            "d.json",
            "yaml",
            "target/e.yaml",
            "sub/node_modules/f.yaml",
            ".git/g.yaml",
            ".h.yaml",
            "targets/i.yaml",
            "folder.yaml/j.txt",
        ]);
        assert_eq!(names(dir.path()), ["a.yml", "b.yaml", "sub/deep/c.yaml", "targets/i.yaml"]);
        let folders = list(dir.path()).expect("lists").folders;
        let expect = ["", "folder.yaml", "sub", "sub/deep", "targets"].map(|folder| dir.path().join(folder));
        assert_eq!(folders, expect.map(|path| path.components().collect::<PathBuf>()));
        assert!(matches!(read(&dir.path().join("none")), Err(FolderError::Io { .. })));
    }

    #[test]
    fn links_are_followed_once() {
        let dir = folder(&["sub/a.yaml"]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("sub/up")).expect("linked");
        std::os::unix::fs::symlink(dir.path().join("sub/a.yaml"), dir.path().join("b.yaml")).expect("linked");
        std::os::unix::fs::symlink("nowhere", dir.path().join("c.yaml")).expect("linked");
        assert_eq!(names(dir.path()), ["b.yaml", "sub/a.yaml"]);
    }

    #[test]
    fn files_that_are_no_manifests_are_errors() {
        let dir = folder(&[]);
        let path = dir.path().join("a.yaml");
        let parsed = || weft_functions::manifest::parse(&read(dir.path()).expect("reads"));
        fs::write(&path, vec![b'#'; FILE_BYTES_MAX]).expect("written");
        assert_eq!(parsed(), Ok(Vec::new()));
        // Two bytes each, so that the limit cuts one in two.
        fs::write(&path, "é".repeat(FILE_BYTES_MAX)).expect("written");
        let problems = parsed().expect_err("too long");
        assert_eq!(
            problems[0].to_string(),
            format!("a.yaml:1:1: the file has more than {FILE_BYTES_MAX} bytes: split it")
        );
        fs::write(&path, b"\xff").expect("written");
        assert!(matches!(read(dir.path()), Err(FolderError::NotText(_))));
    }

    #[test]
    fn modules_are_relative_to_their_manifest() {
        let check = |file: &str, module: &str, expect: &str| {
            assert_eq!(module_path(Path::new("/app"), file, module), Path::new(expect), "{file} {module}");
        };
        check("app.yaml", "./a.wasm", "/app/a.wasm");
        check("sub/app.yaml", "a.wasm", "/app/sub/a.wasm");
        check("sub/app.yaml", "../target/a.wasm", "/app/sub/../target/a.wasm");
        check("app.yaml", "/opt/a.wasm", "/opt/a.wasm");
        // With the working folder as the root a manifest is named by its path; standard input has none.
        assert_eq!(module_path(Path::new(""), "/srv/app.yaml", "../a.wasm"), Path::new("/srv/../a.wasm"));
        assert_eq!(module_path(Path::new(""), "sub/app.yaml", "./a.wasm"), Path::new("sub/a.wasm"));
        assert_eq!(module_path(Path::new(""), "<stdin>", "./a.wasm"), Path::new("./a.wasm"));
    }
}
