//! Which manifests a path on the command line means: a file, or every manifest below a folder.
//!
//! Separate because `apply` and `check` read the same files, by the one rule of `control::folder`; what is added here is
//! what the shell learns of it: a path that cannot be read is a wrong command, a file that is no text bad content.

use std::path::Path;

use weft_functions::manifest::SourceFile;

use super::failure::{reason, wrong};
use crate::control::folder::{self, FolderError};

/// How standard input is named in mistakes.
const STDIN: &str = "<stdin>";

/// Reads the manifest at `path`, or all below it, in the order of their names. Each is named by its path.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !about.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let found = folder::list(path).map_err(meaning)?.manifests;
    if found.is_empty() {
        return Err(wrong(format!("no manifest (*.yaml, *.yml) below {}: name a folder that has one", path.display())));
    }
    found.iter().map(|path| read_file(path)).collect()
}

/// The manifest that standard input is.
pub(super) fn from_stdin(bytes: Vec<u8>) -> anyhow::Result<SourceFile> {
    folder::source(STDIN, bytes).map_err(meaning)
}

/// Reads one file, named by its path.
pub(super) fn read_file(path: &Path) -> anyhow::Result<SourceFile> {
    let name = path.to_str().ok_or_else(|| meaning(FolderError::Name(path.to_owned())))?;
    folder::read_file(path, name).map_err(meaning)
}

/// Which exit code the failure has.
fn meaning(error: FolderError) -> anyhow::Error {
    match error {
        FolderError::Io { path, source } => unreadable(&path, &source),
        FolderError::NotText(_) => error.into(),
        FolderError::Name(_) | FolderError::TooMany(_) => wrong(error.to_string()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    wrong(format!("cannot read {}: {}", path.display(), reason(error)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::failure::exit_code;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "kind: Topic\n").unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_read_whole_and_in_order_without_what_nobody_wrote() {
        let folder = folder(&[
            "b.yaml",
            "a.yml",
            "sub/deep/c.yaml",
            "notes.txt",
            ".git/d.yaml",
            "target/e.yaml",
            "sub/node_modules/f.yaml",
        ]);
        let names: Vec<_> = read(folder.path()).unwrap().into_iter().map(|file| file.name).collect();
        let expect: Vec<_> = ["a.yml", "b.yaml", "sub/deep/c.yaml"].map(|name| folder.path().join(name)).into();
        assert_eq!(names.iter().map(|name| PathBuf::from(&**name)).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn what_cannot_be_read_is_a_wrong_command_and_what_is_no_text_is_bad_content() {
        let folder = folder(&["notes.txt"]);
        let check = |path: &Path, code: u8, expect: &str| {
            let error = read(path).unwrap_err();
            assert_eq!(exit_code(&error), code, "{error:#}");
            assert!(format!("{error:#}").contains(expect), "{error:#}");
        };
        check(&folder.path().join("none.yaml"), 2, "cannot read");
        check(folder.path(), 2, "no manifest (*.yaml, *.yml) below");
        let binary = folder.path().join("app.yaml");
        std::fs::write(&binary, [b'a', 0xff]).unwrap();
        check(&binary, 1, "is not UTF-8");
    }
}
