//! Switches the seeded defects on (`--cfg weft_defects`) for this crate alone: setting RUSTFLAGS would build every
//! dependency again. Only tests/run sets the variable, for a binary whose defects the tests must catch.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WEFT_DEFECTS");
    if std::env::var("WEFT_DEFECTS").as_deref() == Ok("1") {
        println!("cargo:rustc-cfg=weft_defects");
    }
}
