//! The project's own sources, and their code without comments and texts: rules are about what a file does, not about what
//! it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Folders that hold what was built or fetched.
const SKIPPED: [&str; 3] = ["target", "wasm", "node_modules"];

/// One file.
pub(super) struct Source {
    /// From the project's root, with `/`.
    pub(super) path: String,
    /// As it is.
    pub(super) text: String,
    /// With spaces where comments and texts are; lines are kept.
    code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    /// Whether the file is `room.rs` or below `room/`.
    pub(super) fn is_in(&self, room: &str) -> bool {
        self.path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    }

    /// Whether the file is all tests.
    pub(super) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs" || name == "fixture.rs" || self.path.contains("/tests/")
    }

    /// Every identifier of the code with its line.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, String)> {
        let lines = self.code.lines().enumerate();
        lines.flat_map(|(index, line)| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            words.map(move |word| (index + 1, word.to_owned()))
        })
    }

    /// The lines whose code contains `text`, up to the file's own unit tests.
    pub(super) fn lines_with(&self, text: &str) -> impl Iterator<Item = usize> {
        let lines = self.code.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        lines.filter(move |(_, line)| line.contains(text)).map(|(index, _)| index + 1)
    }
}

/// All sources of the project, guests and examples included.
pub(super) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut found = Vec::new();
        let root = weft_tests::modules::root();
        for room in ["functions", "runtime", "router", "examples", "tests"] {
            walk(&root.join(room), &mut |path, text| {
                if path.extension().is_some_and(|extension| extension == "rs") {
                    let path = path.strip_prefix(&root).expect("a path below the root");
                    found.push(Source::new(&path.to_string_lossy().replace('\\', "/"), text));
                }
            });
        }
        found
    })
}

/// The folders of all crates of the workspace; guests are workspaces of their own.
pub(super) fn crates() -> BTreeSet<String> {
    let root = weft_tests::modules::root();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the root's Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("a list of members");
    members.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of all dependencies of a crate, of every section.
pub(super) fn dependencies(folder: &str) -> Vec<String> {
    let path = weft_tests::modules::root().join(folder).join("Cargo.toml");
    let manifest = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut within = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            within = section.trim_end_matches(']').ends_with("dependencies");
        } else if within && let Some((name, _)) = line.split_once(['=', '.']) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

fn walk(folder: &Path, found: &mut impl FnMut(&Path, &str)) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder of sources").flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            walk(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found(&path, &text);
        }
    }
}

/// The code of a Rust file: comments, texts and characters become spaces. Nested comments and every form of raw text are
/// known, as far as real files have them.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, code.chars().next_back()).unwrap_or(0);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// How many bytes at the start of `rest` are a comment, a text or a character.
fn skipped(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if let Some(text) = rest.strip_prefix('"') {
        return Some(1 + end_of_text(text));
    }
    let word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !word && let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            return Some(1 + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
        }
    }
    // A character, not a lifetime: `'x'` or `'\…'`.
    let mut chars = rest.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    if first == '\\' {
        let body = &rest[3..];
        return Some(3 + body.find('\'').map_or(body.len(), |at| at + 1));
    }
    (chars.next() == Some('\'')).then(|| 2 + first.len_utf8())
}

/// The bytes up to and with the quote that ends a text.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
