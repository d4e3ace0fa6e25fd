//! Module files: which ones manifests name, whether they can be read, and how the node comes to have them.
//!
//! Separate because three commands name modules (`deploy`, `apply`, `check`) and the node is only ever sent bytes it
//! lacks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use weft_functions::manifest::{Problem, Resource};
use weft_functions::value::Namespaced;

use super::client::{Admin, ModuleReference};
use super::failure::{reason, wrong};
use super::terminal;
use crate::control::folder::module_path;
use crate::control::modules::{ModuleDigest, check_file, read_file};

/// A module that a manifest names, and the file it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedModule {
    /// The manifest.
    pub(super) manifest: String,
    /// The function that it is for.
    pub(super) function: Namespaced,
    /// As written there.
    pub(super) module: String,
    pub(super) path: PathBuf,
}

/// The modules that functions name, or every one that cannot be read, at its line.
pub(super) fn named(resources: &[Resource]) -> Result<Vec<NamedModule>, Vec<Problem>> {
    let mut named = Vec::new();
    let mut problems = Vec::new();
    for resource in resources {
        let Resource::Function(function) = resource else { continue };
        let (manifest, module) = (&function.location.file, &function.spec.module);
        // Manifests are named by their paths, so the working folder is their root.
        let path = module_path(Path::new(""), manifest, module);
        match check(&path) {
            Ok(()) => {
                let (manifest, function) = (manifest.to_string(), function.metadata.namespaced());
                named.push(NamedModule { manifest, function, module: module.clone(), path });
            }
            Err(message) => problems.push(function.module_problem(message)),
        }
    }
    if problems.is_empty() { Ok(named) } else { Err(problems) }
}

/// Sends the node the modules it lacks, one at a time, and answers which bytes each manifest means.
pub(super) async fn upload(admin: &Admin, named: &[NamedModule]) -> anyhow::Result<Vec<ModuleReference>> {
    let mut digests: BTreeMap<&Path, String> = BTreeMap::new();
    let mut references = Vec::new();
    for NamedModule { manifest, function, module, path } in named {
        let digest = match digests.get(path.as_path()) {
            Some(digest) => digest.clone(),
            None => upload_one(admin, function, path).await?,
        };
        digests.insert(path, digest.clone());
        references.push(ModuleReference { file: manifest.clone(), module: module.clone(), digest });
    }
    Ok(references)
}

async fn upload_one(admin: &Admin, function: &Namespaced, path: &Path) -> anyhow::Result<String> {
    let module = read_file(path).map_err(|error| wrong(mistake(path, &error)))?;
    let digest = ModuleDigest::of(&module).to_string();
    if !admin.has_module(&digest, function).await? {
        let what = format!("uploading {}", terminal::harmless(&path.display().to_string()));
        terminal::with_spinner(&what, admin.put_module(&digest, function, module)).await?;
    }
    Ok(digest)
}

/// Whether a module can be read; else what is wrong and what to do.
pub(super) fn check(path: &Path) -> Result<(), String> {
    check_file(path).map_err(|error| mistake(path, &error))
}

fn mistake(path: &Path, error: &io::Error) -> String {
    let hint = if error.kind() == io::ErrorKind::NotFound { "; build it, or correct the path" } else { "" };
    format!("cannot read the module {}: {}{hint}", path.display(), reason(error))
}

#[cfg(test)]
mod tests {
    use weft_functions::manifest::{SourceFile, parse};

    use super::*;

    #[test]
    fn a_missing_module_is_a_mistake_at_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("app.yaml");
        let name = name.to_str().unwrap();
        let text = "apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: orders }\nspec: {}\n---\napiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: { name: module-of-mine }\nspec:\n  module: ./none.wasm\n";
        let sources = [SourceFile::new(name, text)];
        let problems = named(&parse(&sources).unwrap()).unwrap_err();
        let places: Vec<_> = problems.iter().map(|problem| (problem.location.line, problem.location.column)).collect();
        assert_eq!(places, [(10, 11)]);
        let rendered = problems.first().unwrap().render(false);
        assert!(rendered.contains("none.wasm: no such file") && rendered.contains("module: ./none.wasm"), "{rendered}");

        std::fs::write(folder.path().join("none.wasm"), b"\0asm").unwrap();
        let named = named(&parse(&sources).unwrap()).unwrap();
        assert_eq!(named.first().unwrap().module, "./none.wasm");
    }
}
