//! One file of the simulated disk: what readers see, what is surely on the disk, and what may be.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What the disk writes as one.
pub(in crate::local::tests) const SECTOR: usize = 512;
/// What space is given in.
pub(super) const PAGE: u64 = 4 << 10;

type Sector = Arc<[u8; SECTOR]>;

/// Rounds up to whole pages.
pub(super) fn pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

#[derive(Clone, Default)]
pub(in crate::local::tests) struct Content {
    pub(super) size: u64,
    pub(super) allocated: u64,
    /// Those that are not all zeros.
    sectors: BTreeMap<u64, Sector>,
    durable_size: u64,
    durable: BTreeMap<u64, Sector>,
    /// What may be on the disk instead of what is durable, oldest first.
    sizes: Vec<u64>,
    versions: BTreeMap<u64, Vec<Sector>>,
    /// What may be there although nothing will write it any more: it was written before a sync that failed.
    doubtful_sizes: Vec<u64>,
    doubtful: BTreeMap<u64, Vec<Sector>>,
}

/// What may become of one part of a file.
pub(super) enum Choice {
    /// Each of these.
    Size(Vec<u64>),
    /// What is durable, or one of these.
    Sector(u64, Vec<Sector>),
}

impl Choice {
    /// How many ways there are.
    pub(super) fn ways(&self) -> u64 {
        match self {
            Self::Size(sizes) => sizes.len() as u64,
            Self::Sector(_, versions) => versions.len() as u64 + 1,
        }
    }
}

impl Content {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap()];
        self.read(&mut bytes, 0).unwrap();
        bytes
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.fill(0);
        let sector = SECTOR as u64;
        for (number, bytes) in self.sectors.range(offset / sector..end.div_ceil(sector)) {
            let at = number * sector;
            let (from, to) = (at.max(offset), (at + sector).min(end));
            let (source, target) = ((from - at) as usize, (from - offset) as usize);
            let length = (to - from) as usize;
            buffer[target..target + length].copy_from_slice(&bytes[source..source + length]);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let sector = SECTOR as u64;
        let end = offset + bytes.len() as u64;
        for number in offset / sector..end.div_ceil(sector) {
            let at = number * sector;
            let (from, to) = (at.max(offset), (at + sector).min(end));
            let mut content = self.sectors.get(&number).map_or([0; SECTOR], |sector| **sector);
            let (source, target, length) = ((from - offset) as usize, (from - at) as usize, (to - from) as usize);
            content[target..target + length].copy_from_slice(&bytes[source..source + length]);
            self.put(number, Arc::new(content));
        }
        self.grow(end);
        self.allocated = self.allocated.max(pages(end));
    }

    fn put(&mut self, number: u64, sector: Sector) {
        self.versions.entry(number).or_default().push(sector.clone());
        self.sectors.insert(number, sector);
    }

    fn grow(&mut self, end: u64) {
        if end > self.size {
            self.size = end;
            self.sizes.push(end);
        }
    }

    pub(super) fn allocate(&mut self, end: u64) {
        self.grow(end);
        self.allocated = self.allocated.max(pages(end));
    }

    pub(super) fn set_size(&mut self, size: u64) {
        if size == self.size {
            return;
        }
        let sector = SECTOR as u64;
        let beyond: Vec<u64> = self.sectors.range(size / sector..).map(|(number, _)| *number).collect();
        for number in beyond {
            let mut content = *self.sectors[&number];
            content[(size.saturating_sub(number * sector) as usize).min(SECTOR)..].fill(0);
            self.put(number, Arc::new(content));
        }
        (self.size, self.allocated) = (size, pages(size));
        self.sizes.push(size);
    }

    pub(super) fn sync(&mut self) {
        for (number, _) in std::mem::take(&mut self.versions) {
            self.durable.insert(number, self.sectors[&number].clone());
            self.doubtful.remove(&number);
        }
        if !self.sizes.is_empty() {
            self.sizes.clear();
            self.doubtful_sizes.clear();
            self.durable_size = self.size;
        }
    }

    /// Flips a bit, as decay does.
    pub(super) fn flip(&mut self, bit: u64) {
        let (number, within) = (bit / 8 / SECTOR as u64, (bit / 8 % SECTOR as u64) as usize);
        let sector = self.sectors.entry(number).or_insert_with(|| Arc::new([0; SECTOR]));
        Arc::make_mut(sector)[within] ^= 1 << (bit % 8);
        self.durable.insert(number, sector.clone());
    }

    /// What was written is marked as clean and may be on the disk or not, now and after later syncs.
    pub(super) fn fail_sync(&mut self, forgets: bool) {
        for (number, versions) in std::mem::take(&mut self.versions) {
            self.doubtful.entry(number).or_default().extend(versions);
        }
        self.doubtful_sizes.append(&mut self.sizes);
        if forgets {
            (self.size, self.sectors) = (self.durable_size, self.durable.clone());
        }
    }

    /// What a loss of power decides.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let mut sizes = vec![self.durable_size];
        for size in self.doubtful_sizes.iter().chain(&self.sizes) {
            if !sizes.contains(size) {
                sizes.push(*size);
            }
        }
        if sizes.len() > 1 {
            choices.push(Choice::Size(few(sizes)));
        }
        let largest = self.sizes.iter().chain(&self.doubtful_sizes).copied().fold(self.durable_size, u64::max);
        let mut uncertain: BTreeMap<u64, Vec<Sector>> = self.doubtful.clone();
        for (number, versions) in &self.versions {
            uncertain.entry(*number).or_default().extend(versions.iter().cloned());
        }
        for (number, versions) in uncertain {
            let zeros = Arc::new([0; SECTOR]);
            let durable = self.durable.get(&number).unwrap_or(&zeros);
            let mut others: Vec<Sector> = Vec::new();
            for version in versions {
                if version != *durable && !others.contains(&version) {
                    others.push(version);
                }
            }
            if !others.is_empty() && number * (SECTOR as u64) < largest {
                choices.push(Choice::Sector(number, few(others)));
            }
        }
        choices
    }

    /// The file when it was decided.
    pub(super) fn after(&self, choices: &[Choice], decisions: &[u64]) -> Self {
        let (mut size, mut sectors) = (self.durable_size, self.durable.clone());
        for (choice, decision) in choices.iter().zip(decisions) {
            let decision = usize::try_from(*decision).unwrap();
            match choice {
                Choice::Size(sizes) => size = sizes[decision],
                Choice::Sector(number, versions) => {
                    if let Some(version) = decision.checked_sub(1).map(|at| versions[at].clone()) {
                        sectors.insert(*number, version);
                    }
                }
            }
        }
        let mut content = Self { size, durable_size: size, allocated: pages(size), ..Self::default() };
        sectors.retain(|number, _| number * (SECTOR as u64) < size);
        if let Some((number, last)) = sectors.last_key_value() {
            let within = (size - number * SECTOR as u64) as usize;
            if within < SECTOR && last[within..].iter().any(|byte| *byte != 0) {
                let (number, mut cut) = (*number, **last);
                cut[within..].fill(0);
                sectors.insert(number, Arc::new(cut));
            }
        }
        content.durable.clone_from(&sectors);
        content.sectors = sectors;
        content
    }
}

/// Of something that was rewritten often, the first and the last ones: what lies between is more of the same.
fn few<T>(mut versions: Vec<T>) -> Vec<T> {
    const MOST: usize = 4;
    if versions.len() > MOST {
        versions.drain(2..versions.len() - 2);
    }
    versions
}
