//! A disk in memory that knows what would be left of it if the power went now, and that fails when it is told to. The
//! engine's tests run on it wherever a real disk would be slow, or would not lose what it may lose.
//!
//! What it may lose is as much as POSIX allows: of each file any sectors written since its last sync, each at any of the
//! versions it had; its size; of each directory any entries made, renamed or removed since its last sync. A rename is one
//! step. `sim/crash.rs` plays all of that.

pub(super) mod content;
pub(super) mod crash;
pub(super) mod tree;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;

use self::content::Content;
use self::crash::Crash;
use self::tree::{Ino, Tree};
use crate::local::storage::{File, Storage};
use crate::lock::lock;

/// Lets everything happen that does not wait for the disk, and then answers.
pub(super) type Pause = std::sync::mpsc::Sender<()>;

/// Handles of one disk are clones.
#[derive(Clone, Default)]
pub(super) struct SimDisk {
    world: Arc<Mutex<World>>,
    /// Whose handle it is: a process that was killed does nothing any more.
    process: u32,
}

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) files: HashMap<Ino, Content>,
    salts: u32,
    /// The same salt each time.
    pub(super) salt: Option<u32>,
    pub(super) faults: Faults,
    recorder: Option<Recorder>,
    process: u32,
}

/// What goes wrong.
#[derive(Clone, Default)]
pub(super) struct Faults {
    /// Every sync fails.
    pub(super) syncs_fail: bool,
    /// The sync with this number from now (1: the next) fails, and those after it succeed although what was written
    /// before is lost.
    pub(super) sync_fails_in: Option<u32>,
    /// After a failed sync the cache has what the disk has.
    pub(super) forgets: bool,
    /// Bytes that all files may take together.
    pub(super) space: Option<u64>,
    /// Reading these bytes of these files fails.
    pub(super) unreadable: Vec<(PathBuf, std::ops::Range<u64>)>,
}

/// Takes a picture before each sync.
#[derive(Clone)]
struct Recorder {
    promised: Arc<AtomicUsize>,
    pauses: Option<mpsc::Sender<Pause>>,
    crashes: Vec<Crash>,
}

struct SimFile {
    disk: SimDisk,
    ino: Ino,
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn failed() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl SimDisk {
    pub(super) fn of(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), process: 0 }
    }

    /// The disk for another process, when the one before was killed.
    pub(super) fn reborn(&self) -> Self {
        let mut world = self.world();
        world.process += 1;
        Self { world: self.world.clone(), process: world.process }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn live(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.process == self.process { Ok(world) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    pub(super) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.world().faults);
    }

    /// Takes a picture before each sync from now on; `promised` counts what has been promised to callers. With `pauses`
    /// whoever listens there first lets the promises arrive that were made before the sync.
    pub(super) fn record(&self, promised: Arc<AtomicUsize>, pauses: Option<mpsc::Sender<Pause>>) {
        self.world().recorder = Some(Recorder { promised, pauses, crashes: Vec::new() });
    }

    /// The pictures so far, and one of now.
    pub(super) fn recorded(&self) -> Vec<Crash> {
        self.snapshot();
        self.world().recorder.take().map(|recorder| recorder.crashes).unwrap_or_default()
    }

    fn picture(&self) {
        let pauses = self.world().recorder.as_ref().and_then(|recorder| recorder.pauses.clone());
        if let Some(pauses) = pauses {
            let (reply, answer) = std::sync::mpsc::channel();
            // Nobody listens once the recording is over.
            if pauses.blocking_send(reply).is_ok() {
                let _over = answer.recv();
            }
        }
        self.snapshot();
    }

    fn snapshot(&self) {
        let mut world = self.world();
        if let Some(mut recorder) = world.recorder.take() {
            let crash = Crash::of(&world, recorder.promised.load(Ordering::SeqCst));
            recorder.crashes.push(crash);
            world.recorder = Some(recorder);
        }
    }

    /// What a file holds now.
    pub(super) fn get(&self, path: &Path) -> Vec<u8> {
        let world = self.world();
        let content = world.tree.find(path).and_then(|ino| world.files.get(&ino));
        content.unwrap_or_else(|| panic!("no file {}", path.display())).bytes()
    }

    /// Puts a file there, as if it had always been.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let process = self.world().process;
        let disk = Self { world: self.world.clone(), process };
        disk.create_dir(path.parent().unwrap()).unwrap();
        let file = disk.create(path).unwrap();
        file.write_at(bytes, 0).unwrap();
        disk.settle();
    }

    /// Makes everything durable, as time does.
    pub(super) fn settle(&self) {
        let mut world = self.world();
        world.tree.settle();
        world.files.values_mut().for_each(Content::sync);
    }

    /// Flips a bit of a file.
    pub(super) fn flip(&self, path: &Path, bit: u64) {
        let mut world = self.world();
        let ino = world.tree.find(path).unwrap();
        world.files.get_mut(&ino).unwrap().flip(bit);
    }

    /// Bytes that all files take.
    pub(super) fn taken(&self) -> u64 {
        self.world().taken(Ino::MAX)
    }

    /// All files, with their paths.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let world = self.world();
        let paths = world.tree.paths();
        let mut files: Vec<_> = paths.into_iter().filter(|(ino, _)| world.files.contains_key(ino)).collect();
        files.sort_by(|one, other| one.1.cmp(&other.1));
        files.into_iter().map(|(_, path)| path).collect()
    }

    /// Another disk with the same content.
    pub(super) fn copy(&self) -> Self {
        Self::of(World { recorder: None, process: 0, ..self.world().clone() })
    }

    fn handle(&self, ino: Ino) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.clone(), ino })
    }
}

impl World {
    pub(super) fn new(tree: Tree, files: HashMap<Ino, Content>, salts: u32) -> Self {
        Self { tree, files, salts, ..Self::default() }
    }

    pub(super) fn salts(&self) -> u32 {
        self.salts
    }

    /// Whether the sync that is asked for fails.
    fn sync_fails(&mut self) -> bool {
        if let Some(left) = &mut self.faults.sync_fails_in {
            *left -= 1;
            if *left == 0 {
                self.faults.sync_fails_in = None;
                return true;
            }
        }
        self.faults.syncs_fail
    }

    /// Bytes that all files but one take.
    fn taken(&self, but: Ino) -> u64 {
        let named = self.tree.paths();
        let others = self.files.iter().filter(|(ino, _)| **ino != but && named.contains_key(ino));
        others.map(|(_, content)| content.allocated).sum()
    }

    /// Whether a file that is to take `allocated` bytes fits.
    fn check_space(&self, ino: Ino, allocated: u64) -> io::Result<()> {
        let Some(space) = self.faults.space else { return Ok(()) };
        let taken = self.taken(ino);
        let before = self.files.get(&ino).map_or(0, |content| content.allocated);
        // What a file has it keeps.
        let fits = allocated <= before || taken + allocated <= space;
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn with<T>(&mut self, ino: Ino, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        self.files.get_mut(&ino).map(act).ok_or_else(missing)
    }
}

impl Storage for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.live()?.tree.create_dir(dir);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.live()?.tree.list(dir))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let world = self.live()?;
        let ino = world.tree.find(path).filter(|ino| world.files.contains_key(ino)).ok_or_else(missing)?;
        Ok(self.handle(ino))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.live()?;
        if let Some(ino) = world.tree.find(path) {
            world.with(ino, |content| content.set_size(0))?;
            return Ok(self.handle(ino));
        }
        world.check_space(Ino::MAX, content::PAGE)?;
        let ino = world.tree.create(path).ok_or_else(missing)?;
        world.files.insert(ino, Content::default());
        Ok(self.handle(ino))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live()?.tree.rename(from, to).ok_or_else(missing)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.live()?.tree.remove(path).ok_or_else(missing)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.remove(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        drop(self.live()?);
        self.picture();
        let mut world = self.live()?;
        if world.sync_fails() {
            return Err(failed());
        }
        let ino = world.tree.find(dir).ok_or_else(missing)?;
        world.tree.sync(ino);
        Ok(())
    }

    fn capacity(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.live()?.faults.space.unwrap_or(1 << 20))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(Box::new(())))
    }

    fn salt(&self) -> io::Result<u32> {
        let mut world = self.live()?;
        world.salts += 1;
        Ok(world.salt.unwrap_or(world.salts.wrapping_mul(0x9e37_79b9)))
    }
}

impl File for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.live()?.with(self.ino, |content| content.size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.live()?;
        if !world.faults.unreadable.is_empty() {
            let end = offset + buffer.len() as u64;
            let bad = |(path, range): &(PathBuf, std::ops::Range<u64>)| {
                world.tree.find(path) == Some(self.ino) && range.start < end && offset < range.end
            };
            if world.faults.unreadable.iter().any(bad) {
                return Err(failed());
            }
        }
        world.with(self.ino, |content| content.read(buffer, offset))?
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.live()?;
        world.check_space(self.ino, content::pages(offset + bytes.len() as u64))?;
        world.with(self.ino, |content| content.write(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.live()?);
        self.disk.picture();
        let mut world = self.disk.live()?;
        if world.sync_fails() {
            let forgets = world.faults.forgets;
            world.with(self.ino, |content| content.fail_sync(forgets))?;
            return Err(failed());
        }
        world.with(self.ino, Content::sync)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut world = self.disk.live()?;
        world.check_space(self.ino, content::pages(offset + len))?;
        world.with(self.ino, |content| content.allocate(offset + len))
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.live()?.with(self.ino, |content| content.set_size(size))
    }
}
