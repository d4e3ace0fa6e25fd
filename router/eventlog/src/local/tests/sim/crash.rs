//! A moment at which the power may go, and every disk that may be left then.

use super::content::{Choice, Content};
use super::tree::{Ino, Tree};
use super::{SimDisk, World};

/// The most steps on names that may be uncertain at once.
const MOST_STEPS: usize = 12;

/// A picture of the disk.
#[derive(Clone)]
pub(in crate::local::tests) struct Crash {
    world: Box<World>,
    /// How much had been promised.
    pub(in crate::local::tests) promised: usize,
}

/// The disks that one decision about names leaves.
struct Branch {
    tree: Tree,
    /// The files that can be reached, with what is undecided.
    files: Vec<(Ino, Vec<Choice>)>,
    states: u64,
}

/// Every disk that may be left.
pub(in crate::local::tests) struct States {
    world: Box<World>,
    branches: Vec<Branch>,
}

impl Crash {
    pub(super) fn of(world: &World, promised: usize) -> Self {
        let World { tree, files, .. } = world;
        Self { world: Box::new(World::new(tree.clone(), files.clone(), world.salts())), promised }
    }

    pub(in crate::local::tests) fn states(self) -> States {
        let steps = self.world.tree.uncertain();
        assert!(steps <= MOST_STEPS, "{steps} steps on names are uncertain; sync more often or play less");
        let mut branches: Vec<Branch> = Vec::new();
        for mask in 0..1_u64 << steps {
            let tree = self.world.tree.after(mask);
            if branches.iter().any(|branch| branch.tree.is_like(&tree)) {
                continue;
            }
            let mut reached: Vec<Ino> = tree.paths().into_keys().collect();
            reached.sort_unstable();
            let files: Vec<(Ino, Vec<Choice>)> =
                reached.into_iter().filter_map(|ino| Some((ino, self.world.files.get(&ino)?.choices()))).collect();
            let ways = files.iter().flat_map(|(_, choices)| choices).map(Choice::ways);
            let states = ways.fold(1, u64::saturating_mul);
            branches.push(Branch { tree, files, states });
        }
        States { world: self.world, branches }
    }
}

impl States {
    pub(in crate::local::tests) fn count(&self) -> u64 {
        self.branches.iter().fold(0, |sum, branch| sum.saturating_add(branch.states))
    }

    /// One of them.
    pub(in crate::local::tests) fn disk(&self, mut number: u64) -> SimDisk {
        for branch in &self.branches {
            if number < branch.states {
                return self.grow(branch, number);
            }
            number -= branch.states;
        }
        panic!("there are only {} states", self.count());
    }

    fn grow(&self, branch: &Branch, mut number: u64) -> SimDisk {
        let mut decide = |choice: &Choice| {
            let decision = number % choice.ways();
            number /= choice.ways();
            decision
        };
        let files = branch.files.iter().map(|(ino, choices)| {
            let decisions: Vec<u64> = choices.iter().map(&mut decide).collect();
            (*ino, Content::after(&self.world.files[ino], choices, &decisions))
        });
        SimDisk::of(World::new(branch.tree.clone(), files.collect(), self.world.salts()))
    }
}
