//! Where the binary and the guests are that tests run. What is missing fails with the command that makes it.

use std::path::{Path, PathBuf};

/// Guests, and the folder of the workspace that each is built in.
const GUESTS: [(&str, &str); 10] = [
    ("cashier", "examples"),
    ("hello", "examples"),
    ("shop", "examples"),
    ("billing", "examples"),
    ("shipping", "examples"),
    ("dialer", "tests/guests"),
    ("echo", "tests/guests"),
    ("misbehave", "tests/guests"),
    ("relay", "tests/guests"),
    ("replier", "tests/guests"),
];

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the project's root")
}

/// The binary `weft`: beside the folder of the running test executable.
pub fn weft() -> PathBuf {
    let executable = std::env::current_exe().expect("the test's own path");
    let weft = executable.ancestors().nth(2).expect("a folder of builds").join("weft");
    assert!(weft.is_file(), "{} is missing: run tests/run, or cargo build --bin weft", weft.display());
    weft
}

/// What only a build with seeded defects contains: the variable that says which defect it has.
pub const DEFECT_VARIABLE: &str = "WEFT_DEFECT";

/// The binary with the seeded defects: `defects/weft` in the target directory.
pub fn defective() -> PathBuf {
    let weft = weft();
    let binary = weft.ancestors().nth(2).expect("the target directory").join("defects/weft");
    assert!(binary.is_file(), "{} is missing: run tests/run, which builds it", binary.display());
    binary
}

/// The names of all guests.
pub fn guests() -> impl Iterator<Item = &'static str> {
    GUESTS.iter().map(|(name, _)| *name)
}

/// The file of a guest.
pub fn guest(name: &str) -> PathBuf {
    let (_, folder) = GUESTS.iter().find(|(guest, _)| *guest == name).unwrap_or_else(|| panic!("no guest {name}"));
    let module = root().join(folder).join("wasm").join(format!("{name}.wasm"));
    assert!(
        module.is_file(),
        "{} is missing: run tests/run, or tests/guests/build {folder} {folder}/wasm",
        module.display()
    );
    module
}
