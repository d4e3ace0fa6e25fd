//! Module files: which ones manifests name, whether they can be read, and how the node comes to have them.
//!
//! Separate because three commands name modules (`deploy`, `apply`, `check`) and the node is only ever sent bytes it
//! lacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use weft_functions::function::Function;
use weft_functions::manifest::{Code, Location, Problem, Resource, SourceFile};

use super::client::{Admin, ModuleReference};
use super::failure::{reason, wrong};
use super::{manifests, terminal};

/// The largest module a node takes (admin API, modules).
const MODULE_BYTES: u64 = 64 << 20;

/// A module that a manifest names, and the file it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedModule {
    /// The manifest.
    pub(super) manifest: String,
    /// As written there.
    pub(super) module: String,
    pub(super) path: PathBuf,
}

/// The modules that functions name, or every one that cannot be read, at its line.
pub(super) fn named(sources: &[SourceFile], resources: &[Resource]) -> Result<Vec<NamedModule>, Vec<Problem>> {
    let mut named = Vec::new();
    let mut problems = Vec::new();
    for resource in resources {
        let Resource::Function(function) = resource else { continue };
        let Function { spec, location, .. } = function;
        let path = manifests::beside(&location.file, &spec.module);
        match readable(&path) {
            Ok(()) => {
                named.push(NamedModule { manifest: location.file.to_string(), module: spec.module.clone(), path });
            }
            Err(message) => problems.push(problem(sources, function, message)),
        }
    }
    if problems.is_empty() { Ok(named) } else { Err(problems) }
}

/// Whether a module can be read; else what is wrong and what to do.
fn readable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let about = std::fs::metadata(path).map_err(|error| {
        format!("cannot read the module {shown}: {}; build it, or correct the path", reason(&error))
    })?;
    if !about.is_file() {
        return Err(format!("the module {shown} is not a file; name a .wasm file"));
    }
    if about.len() > MODULE_BYTES {
        return Err(format!("the module {shown} has {} bytes, more than the {MODULE_BYTES} a node takes", about.len()));
    }
    std::fs::File::open(path).map(drop).map_err(|error| format!("cannot read the module {shown}: {}", reason(&error)))
}

/// The problem at the line that names the module.
fn problem(sources: &[SourceFile], function: &Function, message: String) -> Problem {
    let source = sources.iter().find(|source| source.name == function.location.file);
    let place = source.and_then(|source| place_of_module(source, function));
    let problem =
        Problem::new(place.unwrap_or_else(|| function.location.clone()), "spec.module", Code::BadValue, message);
    match source {
        Some(source) => problem.with_source(source),
        None => problem,
    }
}

/// Where the text names the module: the first line of the document that has the key and, after it, the value.
fn place_of_module(source: &SourceFile, function: &Function) -> Option<Location> {
    let first = usize::try_from(function.location.line).ok()?;
    let (index, byte, line) =
        source.text.lines().enumerate().skip(first.saturating_sub(1)).find_map(|(index, line)| {
            let key = line.find("module")?;
            let value = line.get(key..)?.find(function.spec.module.as_str())?;
            Some((index, key + value, line))
        })?;
    let column = line.get(..byte)?.chars().count() + 1;
    Some(Location {
        file: source.name.clone(),
        line: u32::try_from(index + 1).ok()?,
        column: u32::try_from(column).ok()?,
    })
}

/// Sends the node the modules it lacks, one at a time, and answers which bytes each manifest means.
pub(super) async fn upload(admin: &Admin, named: &[NamedModule]) -> anyhow::Result<Vec<ModuleReference>> {
    let mut digests: BTreeMap<&Path, String> = BTreeMap::new();
    let mut references = Vec::new();
    for NamedModule { manifest, module, path } in named {
        let digest = match digests.get(path.as_path()) {
            Some(digest) => digest.clone(),
            None => upload_one(admin, path).await?,
        };
        digests.insert(path, digest.clone());
        references.push(ModuleReference { file: manifest.clone(), module: module.clone(), digest });
    }
    Ok(references)
}

async fn upload_one(admin: &Admin, path: &Path) -> anyhow::Result<String> {
    let module = Bytes::from(read(path)?);
    let digest = digest(&module);
    if !admin.has_module(&digest).await? {
        let what = format!("uploading {}", terminal::harmless(&path.display().to_string()));
        terminal::with_spinner(&what, admin.put_module(&digest, module)).await?;
    }
    Ok(digest)
}

/// Reads a module whole. A module that was named on the command line and cannot be read is a wrong command.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    readable(path).map_err(wrong)?;
    std::fs::read(path).map_err(|error| wrong(format!("cannot read {}: {}", path.display(), reason(&error))))
}

fn digest(module: &[u8]) -> String {
    Sha256::digest(module).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use weft_functions::manifest::parse;

    use super::*;

    #[test]
    fn a_digest_is_sha256_in_hexadecimal() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_missing_module_is_a_mistake_at_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("app.yaml");
        let name = name.to_str().unwrap();
        let text = "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: orders }\nspec: {}\n---\napiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: module-of-mine }\nspec:\n  module: ./none.wasm\n";
        let sources = [SourceFile::new(name, text)];
        let problems = named(&sources, &parse(&sources).unwrap()).unwrap_err();
        let places: Vec<_> = problems.iter().map(|problem| (problem.location.line, problem.location.column)).collect();
        assert_eq!(places, [(10, 11)]);
        let rendered = problems.first().unwrap().render(false);
        assert!(rendered.contains("none.wasm: no such file") && rendered.contains("module: ./none.wasm"), "{rendered}");

        std::fs::write(folder.path().join("none.wasm"), b"\0asm").unwrap();
        let named = named(&sources, &parse(&sources).unwrap()).unwrap();
        assert_eq!(named.first().unwrap().module, "./none.wasm");
    }
}
