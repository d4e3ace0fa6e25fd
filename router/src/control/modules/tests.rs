//! The module store: what is kept, what is refused and what is swept.

use super::*;

struct At(AtomicU64);

impl Clock for At {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn store() -> (tempfile::TempDir, Arc<At>, ModuleStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(At(AtomicU64::new(1_000)));
    let store = ModuleStore::open(dir.path().join("modules"), clock.clone()).expect("opens");
    (dir, clock, store)
}

#[test]
fn digests_are_read_and_written() {
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(ModuleDigest::of(b"abc").to_string(), text);
    assert_eq!(text.parse(), Ok(ModuleDigest::of(b"abc")));
    for bad in ["", "ba", &text.to_uppercase(), &format!("{text}00"), &text.replace('b', "g"), &text.replace('b', "é")]
    {
        assert_eq!(bad.parse::<ModuleDigest>(), Err(NotADigest), "{bad}");
    }
}

#[test]
fn what_is_put_is_got_and_outlives_the_store() {
    let (dir, clock, store) = store();
    let digest = ModuleDigest::of(b"abc");
    assert!(matches!(store.get(digest), Err(ModuleError::Unknown(_))));
    assert_eq!(store.put(digest, b"abc").expect("put"), Put::New);
    assert_eq!(store.put(digest, b"abc").expect("put"), Put::Known);
    fs::write(dir.path().join("modules/left.tmp"), b"half").expect("written");
    let store = ModuleStore::open(dir.path().join("modules"), clock).expect("opens");
    assert!(store.contains(digest));
    assert_eq!(store.get(digest).expect("got"), "abc");
    assert_eq!(fs::read_dir(dir.path().join("modules")).expect("lists").count(), 1, "interrupted uploads are removed");
}

#[test]
fn other_bytes_than_announced_are_refused() {
    let (_dir, _clock, store) = store();
    let digest = ModuleDigest::of(b"abc");
    assert!(matches!(store.put(digest, b"abd"), Err(ModuleError::Mismatch { .. })));
    assert!(!store.contains(digest));
}

#[test]
fn a_damaged_file_is_never_served() {
    let (dir, _clock, store) = store();
    let digest = ModuleDigest::of(b"abc");
    store.put(digest, b"abc").expect("put");
    fs::write(dir.path().join(format!("modules/{digest}.wasm")), b"abd").expect("written");
    assert!(matches!(store.get(digest), Err(ModuleError::Damaged(_))));
    assert_eq!(store.put(digest, b"abc").expect("can be put again"), Put::New);
    assert_eq!(store.get(digest).expect("got"), "abc");
}

#[test]
fn unreferenced_modules_go_but_not_those_that_wait_for_their_apply() {
    let (_dir, clock, store) = store();
    let [kept, old, fresh] = [b"kept", b"old.", b"new."].map(|bytes| {
        let digest = ModuleDigest::of(bytes);
        (digest, bytes)
    });
    store.put(kept.0, kept.1).expect("put");
    store.put(old.0, old.1).expect("put");
    clock.0.store(1_000 + UPLOAD_KEPT_MS, Ordering::Relaxed);
    store.put(fresh.0, fresh.1).expect("put");
    assert_eq!(store.sweep(&BTreeSet::from([kept.0])).expect("swept"), [old.0]);
    assert!(store.contains(kept.0) && store.contains(fresh.0) && !store.contains(old.0));
}

#[test]
fn only_regular_files_are_modules() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.wasm");
    fs::write(&file, b"abc").expect("written");
    assert_eq!(ModuleDigest::of_file(&file).expect("read"), ModuleDigest::of(b"abc"));
    assert_eq!(read_file(&file).expect("read"), "abc");
    assert!(ModuleDigest::of_file(dir.path()).is_err());
    assert_eq!(ModuleDigest::of_file(&dir.path().join("b")).expect_err("missing").kind(), io::ErrorKind::NotFound);
}
