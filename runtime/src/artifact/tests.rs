//! What may not be loaded: a changed byte anywhere, another node's work, another module's seal.

use super::*;

const MODULE: Hash256 = [7; 32];
const CODE: &[u8] = b"compiled code, or so it says";

fn open(dir: &Path) -> Artifacts {
    Artifacts::open(dir, &wasmtime::Engine::default()).unwrap()
}

/// A directory with one artifact, as another process finds it.
fn one() -> (tempfile::TempDir, Artifacts, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = open(dir.path()).keep(&MODULE, CODE).unwrap();
    let again = open(dir.path());
    (dir, again, path)
}

#[test]
fn what_this_node_made_is_found_after_a_restart() {
    let (_dir, artifacts, path) = one();
    assert_eq!(artifacts.find(&MODULE).unwrap(), Some(path.clone()));
    assert_eq!(fs::read(path).unwrap(), CODE, "the file is the code alone, so that it can be mapped");
    assert_eq!(artifacts.find(&[8; 32]).unwrap(), None);
}

#[test]
fn one_changed_byte_is_refused_wherever_it_is() {
    for extension in ["cwasm", "seal"] {
        let (_dir, artifacts, path) = one();
        let path = path.with_extension(extension);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(artifacts.find(&MODULE).unwrap(), None, "byte {at} of {extension}");
        }
        fs::write(&path, &good).unwrap();
        assert!(artifacts.find(&MODULE).unwrap().is_some());
    }
}

#[test]
fn a_longer_or_shorter_file_is_refused() {
    for extension in ["cwasm", "seal"] {
        let (_dir, artifacts, path) = one();
        let path = path.with_extension(extension);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert_eq!(artifacts.find(&MODULE).unwrap(), None);
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert_eq!(artifacts.find(&MODULE).unwrap(), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(artifacts.find(&MODULE).unwrap(), None);
    }
}

#[test]
fn a_file_changed_after_it_was_verified_is_verified_again() {
    let (_dir, artifacts, path) = one();
    assert!(artifacts.find(&MODULE).unwrap().is_some());
    fs::write(&path, b"other code").unwrap();
    assert_eq!(artifacts.find(&MODULE).unwrap(), None);
}

#[test]
fn what_another_key_sealed_is_refused() {
    let (dir, _, _) = one();
    fs::write(dir.path().join(KEY_FILE), [9; 32]).unwrap();
    assert_eq!(open(dir.path()).find(&MODULE).unwrap(), None);
}

#[test]
fn a_seal_does_not_fit_another_module() {
    let (_dir, artifacts, path) = one();
    let other = artifacts.keep(&[8; 32], b"other code").unwrap();
    for extension in ["cwasm", "seal"] {
        fs::copy(other.with_extension(extension), path.with_extension(extension)).unwrap();
    }
    assert_eq!(artifacts.find(&MODULE).unwrap(), None);
}

#[test]
fn the_directory_and_the_key_are_the_nodes_alone() {
    let (dir, artifacts, path) = one();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&dir.path().join(KEY_FILE)), 0o600);
    assert_eq!(mode(&path), 0o600);
    assert!(artifacts.remove(&MODULE).unwrap());
    assert!(!artifacts.remove(&MODULE).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the key is left");
}

#[test]
fn a_short_key_is_an_error_and_not_a_weak_key() {
    let (dir, _, _) = one();
    fs::write(dir.path().join(KEY_FILE), b"short").unwrap();
    let error = Artifacts::open(dir.path(), &wasmtime::Engine::default()).err().unwrap().to_string();
    assert!(error.contains("32 bytes"), "{error}");
}

#[test]
fn the_key_depends_on_the_settings_of_the_engine() {
    let mut settings = wasmtime::Config::new();
    settings.epoch_interruption(true);
    let other = wasmtime::Engine::new(&settings).unwrap();
    assert_ne!(depends_on(&wasmtime::Engine::default()), depends_on(&other));
}

/// Readers of version 1 must be able to read this for as long as version 1 is read.
#[test]
fn the_format_of_the_header_stays() {
    let golden = "776566747365616c01000100".to_owned() + &"07".repeat(32) + "0403020100000000";
    assert_eq!(hex(&header(&MODULE, 0x0102_0304)), golden);
}

#[test]
fn what_a_crash_left_unfinished_goes() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["node.new", "0011223344556677.new"] {
        fs::write(dir.path().join(name), b"half").unwrap();
    }
    let path = open(dir.path()).keep(&MODULE, CODE).unwrap();
    assert_eq!(open(dir.path()).find(&MODULE).unwrap(), Some(path));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "the key, the code and its seal");
}
