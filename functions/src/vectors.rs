//! Vectors that others wrote, for tests alone: they are no part of the project and may be absent.

use std::path::Path;

/// A file of the folder `WEFT_VECTORS`, a path from the project's root. `None` when it cannot be read, which only says
/// so, unless `CI` is set: there it fails.
pub(crate) fn read(name: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("WEFT_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let path = root.join(folder).join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot read {}: {error}; set WEFT_VECTORS", path.display());
            eprintln!("skipped: cannot read {}: {error}; set WEFT_VECTORS", path.display());
            None
        }
    }
}
