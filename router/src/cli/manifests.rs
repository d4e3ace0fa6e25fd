//! Which manifests a path means: a file, or every manifest below a folder.
//!
//! Separate because `apply` and `check` must read exactly the same files, by the rule that `weft dev` has too: every
//! `*.yaml` and `*.yml` except in hidden folders, `target` and `node_modules`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use weft_functions::manifest::SourceFile;

use super::failure::{reason, wrong};

/// Folders that hold what was built or fetched, never what was written.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// How deep folders are searched. A source tree is rarely deeper than 15; a bind mount of itself is endlessly deep.
const DEPTH: usize = 32;

/// How many manifests one command takes. A mistyped folder (a home folder) has far more.
const FILES: usize = 10_000;

/// The longest manifest; the reader of manifests has the same limit and words for it, so one byte more is read.
const FILE_BYTES: u64 = 1 << 20;

/// How standard input is named in mistakes.
pub(super) const STDIN: &str = "<stdin>";

/// Reads the manifest at `path`, or all below it, in the order of their names.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !about.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let mut found = Vec::new();
    search(path, 0, &mut found)?;
    if found.is_empty() {
        return Err(wrong(format!("no manifest (*.yaml, *.yml) below {}: name a folder that has one", path.display())));
    }
    found.sort();
    found.iter().map(|path| read_file(path)).collect()
}

/// The manifest that standard input is.
pub(super) fn from_stdin(bytes: Vec<u8>) -> anyhow::Result<SourceFile> {
    Ok(SourceFile::new(STDIN, text(bytes, STDIN)?))
}

/// The file that a manifest means by a path: relative to the manifest's folder, or (standard input) to the working
/// folder.
pub(super) fn beside(manifest: &str, path: &str) -> PathBuf {
    // The parent of `<stdin>` is the empty path, which is the working folder.
    Path::new(manifest).parent().unwrap_or(Path::new("")).join(path)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > DEPTH {
        return Err(wrong(format!("{} is more than {DEPTH} folders deep: name a smaller folder", folder.display())));
    }
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A link to a folder is not followed (it may lead back up); a link to a manifest is read like one.
        let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
        if kind.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&&*name) {
                search(&path, depth + 1, found)?;
            }
        } else if is_manifest(&path) && path.is_file() {
            found.push(path);
            if found.len() > FILES {
                return Err(wrong(format!("more than {FILES} manifests: name a smaller folder")));
            }
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read_file(path: &Path) -> anyhow::Result<SourceFile> {
    let Some(name) = path.to_str() else {
        return Err(wrong(format!("{} has a name that is not UTF-8: rename it", path.display())));
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    Ok(SourceFile::new(name, text(bytes, name)?))
}

/// A manifest that is not text is bad content (exit 1), not a bad command.
fn text(bytes: Vec<u8>, name: &str) -> anyhow::Result<String> {
    let too_long = bytes.len() as u64 > FILE_BYTES;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // Cut in the middle of a character: its length is the mistake, and the reader says so.
        Err(error) if too_long => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(error) => Err(error.utf8_error()).with_context(|| format!("{name} is not UTF-8 text: save it as UTF-8")),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    wrong(format!("cannot read {}: {}", path.display(), reason(error)))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_module_is_found_beside_its_manifest() {
        let check =
            |manifest: &str, module: &str, expect: &str| assert_eq!(beside(manifest, module), Path::new(expect));
        check("app.yaml", "./billing.wasm", "./billing.wasm");
        check("examples/orders/app.yaml", "billing.wasm", "examples/orders/billing.wasm");
        check("/srv/app.yaml", "../wasm/billing.wasm", "/srv/../wasm/billing.wasm");
        check("app.yaml", "/opt/billing.wasm", "/opt/billing.wasm");
        check(STDIN, "billing.wasm", "billing.wasm");
    }
}
