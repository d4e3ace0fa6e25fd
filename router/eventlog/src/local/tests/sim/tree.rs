//! The names on the simulated disk: which there are, which surely stay, and which may.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// The number of a file or directory. 0 is the root.
pub(super) type Ino = u64;

type Names = HashMap<Ino, BTreeMap<String, Ino>>;

#[derive(Clone)]
pub(in crate::local::tests) struct Tree {
    /// By directory.
    now: Names,
    durable: Names,
    /// What was done since and may be lost, in order.
    pub(super) steps: Vec<Step>,
    last: Ino,
}

/// Something done to names, as one.
#[derive(Clone)]
pub(super) struct Step {
    /// In which directory which name then means what.
    sets: Vec<(Ino, String, Option<Ino>)>,
    /// Directories that have to be synced before it is sure to stay.
    waits: Vec<Ino>,
}

impl Default for Tree {
    fn default() -> Self {
        let root: Names = HashMap::from([(0, BTreeMap::new())]);
        Self { now: root.clone(), durable: root, steps: Vec::new(), last: 0 }
    }
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> Option<Ino> {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        names.into_iter().try_fold(0, |dir, name| self.now.get(&dir)?.get(name).copied())
    }

    fn place(&self, path: &Path) -> Option<(Ino, String)> {
        Some((self.find(path.parent()?)?, path.file_name()?.to_str()?.to_owned()))
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<String> {
        let names = self.find(dir).and_then(|dir| self.now.get(&dir));
        names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }

    /// The path of everything.
    pub(super) fn paths(&self) -> HashMap<Ino, PathBuf> {
        let mut paths = HashMap::from([(0, PathBuf::from("/"))]);
        let mut open = vec![0];
        while let Some(dir) = open.pop() {
            for (name, ino) in self.now.get(&dir).into_iter().flatten() {
                paths.insert(*ino, paths[&dir].join(name));
                open.push(*ino);
            }
        }
        paths
    }

    pub(super) fn create(&mut self, path: &Path) -> Option<Ino> {
        let (dir, name) = self.place(path)?;
        self.last += 1;
        let ino = self.last;
        self.step(vec![(dir, name, Some(ino))]);
        Some(ino)
    }

    pub(super) fn create_dir(&mut self, path: &Path) {
        if self.find(path).is_none() {
            if let Some(parent) = path.parent() {
                self.create_dir(parent);
            }
            if let Some(ino) = self.create(path) {
                self.now.insert(ino, BTreeMap::new());
                self.durable.insert(ino, BTreeMap::new());
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Option<()> {
        let ino = self.find(from)?;
        let ((from, old), (to, new)) = (self.place(from)?, self.place(to)?);
        self.step(vec![(from, old, None), (to, new, Some(ino))]);
        Some(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Option<()> {
        self.find(path)?;
        let (dir, name) = self.place(path)?;
        self.step(vec![(dir, name, None)]);
        Some(())
    }

    fn step(&mut self, sets: Vec<(Ino, String, Option<Ino>)>) {
        let mut waits: Vec<Ino> = sets.iter().map(|(dir, _, _)| *dir).collect();
        waits.dedup();
        let step = Step { sets, waits };
        step.apply(&mut self.now);
        self.steps.push(step);
    }

    pub(super) fn sync(&mut self, dir: Ino) {
        for step in &mut self.steps {
            step.waits.retain(|waits| *waits != dir);
        }
        self.fold();
    }

    pub(super) fn settle(&mut self) {
        self.steps.iter_mut().for_each(|step| step.waits.clear());
        self.fold();
    }

    /// Makes a part of what is durable of the steps that are sure to stay and after no other.
    fn fold(&mut self) {
        let sure = self.steps.iter().take_while(|step| step.waits.is_empty()).count();
        for step in self.steps.drain(..sure) {
            step.apply(&mut self.durable);
        }
    }

    /// The steps that may be lost.
    pub(super) fn uncertain(&self) -> usize {
        self.steps.iter().filter(|step| !step.waits.is_empty()).count()
    }

    /// The tree when of the uncertain steps those with their bit in `mask` stay.
    pub(super) fn after(&self, mask: u64) -> Self {
        let mut names = self.durable.clone();
        let mut bit = 0;
        for step in &self.steps {
            let stays = step.waits.is_empty() || {
                bit += 1;
                mask >> (bit - 1) & 1 == 1
            };
            if stays {
                step.apply(&mut names);
            }
        }
        Self { now: names.clone(), durable: names, steps: Vec::new(), last: self.last }
    }

    /// Whether both have the same names for the same things.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.now == other.now
    }
}

impl Step {
    fn apply(&self, names: &mut Names) {
        for (dir, name, ino) in &self.sets {
            let dir = names.entry(*dir).or_default();
            match ino {
                Some(ino) => dir.insert(name.clone(), *ino),
                None => dir.remove(name),
            };
        }
    }
}
