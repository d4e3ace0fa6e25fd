//! Damage and failing disks: what is lost, what is not, and what is said.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::local::log::SegmentLog;
use crate::local::record::{FRAME_HEADER, Found};
use crate::local::recovery::scan;
use crate::local::segment::{HEADER, Header, file_name};
use crate::local::writer::{Draft, Layout, Writer};
use crate::{AppendError, Disk, File, LogError, Start, Storage, TopicConfig};

/// The disk, with faults that can be switched on, and the same salt every time.
#[derive(Default)]
pub(super) struct Faulty {
    fail_syncs: Arc<AtomicBool>,
    no_space: Arc<AtomicBool>,
    skip_syncs: bool,
}

struct FaultyFile {
    file: Arc<dyn File>,
    fail_syncs: Arc<AtomicBool>,
    no_space: Arc<AtomicBool>,
    skip_syncs: bool,
}

impl Faulty {
    /// A disk that says it has synced and has not: quick, and good enough where no power is lost.
    pub(super) fn without_syncs() -> Self {
        Self { skip_syncs: true, ..Self::default() }
    }

    fn wrap(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        let (fail_syncs, no_space) = (self.fail_syncs.clone(), self.no_space.clone());
        Arc::new(FaultyFile { file, fail_syncs, no_space, skip_syncs: self.skip_syncs })
    }
}

impl Storage for Faulty {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Disk.list(dir)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Disk.open(path).map(|file| self.wrap(file))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Disk.create(path).map(|file| self.wrap(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.skip_syncs { Ok(()) } else { Disk.sync_dir(dir) }
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Disk.lock(path)
    }
    fn salt(&self) -> io::Result<u32> {
        Ok(0x5eed)
    }
}

impl File for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        match self.fail_syncs.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::Other.into()),
            false if self.skip_syncs => Ok(()),
            false => self.file.sync(),
        }
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.no_space.load(Ordering::Relaxed) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.file.allocate(offset, len)
        }
    }
    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }
}

const LAYOUT: Layout = Layout { segment_bytes: 64 << 10, reserve: 8 << 10 };

fn open_log(dir: &Path) -> (Arc<SegmentLog>, Vec<Vec<u8>>) {
    let mut payloads = Vec::new();
    let visit = &mut |_: &Found, payload: &[u8]| payloads.push(payload.to_vec());
    let log = SegmentLog::open(Arc::new(Faulty::default()), dir.to_owned(), "test".into(), visit).unwrap();
    (Arc::new(log), payloads)
}

/// A log of one segment with one frame for each payload; the segment's path.
fn written(dir: &Path, payloads: &[&[u8]]) -> PathBuf {
    let mut writer = Writer::new(open_log(dir).0, LAYOUT).unwrap();
    for payload in payloads {
        writer.commit(&[Draft { count: 1, payload: payload.to_vec() }], 1_000, true).unwrap();
    }
    dir.join(file_name(1))
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &[b"first", b"second", b"the last one"]);
    let whole = std::fs::read(&path).unwrap();
    let last = open_log(dir.path()).0.last().unwrap().extent(|extent| extent.end);
    let last = usize::try_from(last).unwrap();
    let frame = last - (FRAME_HEADER + 16);
    for cut in frame..last - 4 {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        let (log, payloads) = open_log(dir.path());
        assert_eq!((log.next(), log.lost()), (3, 0), "cut at {cut}");
        assert_eq!(payloads, [b"first".to_vec(), b"second".to_vec()]);
        let mut writer = Writer::new(log, LAYOUT).unwrap();
        writer.commit(&[Draft { count: 1, payload: b"x".to_vec() }], 1_000, true).unwrap();
        assert_eq!(open_log(dir.path()).1, [b"first".to_vec(), b"second".to_vec(), b"x".to_vec()], "cut at {cut}");
    }
}

#[test]
fn a_flip_of_any_bit_is_seen_and_costs_at_most_its_frame() {
    let dir = tempfile::tempdir().unwrap();
    let payloads: Vec<Vec<u8>> = (0..6_u8).map(|number| vec![number + 1; 5 + usize::from(number) * 3]).collect();
    let path = written(dir.path(), &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let whole = std::fs::read(&path).unwrap();
    let end = usize::try_from(open_log(dir.path()).0.last().unwrap().extent(|extent| extent.end)).unwrap();
    for bit in 0..end * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let header = Header::decode(&path, &flipped).unwrap().expect("one copy of the header is intact");
        let mut served = Vec::new();
        let scan = scan(&flipped, &header, None, &mut |found, payload| {
            served.push((found.frame.sequence, payload.to_vec()));
        });
        let lost = payloads.len() - served.len();
        assert!(lost <= 1, "bit {bit} costs {lost} frames");
        for (sequence, payload) in &served {
            assert_eq!(payload, &payloads[usize::try_from(*sequence).unwrap() - 1], "bit {bit}");
        }
        assert_eq!(lost == 1, scan.torn || scan.extent.holes.len() == 1, "bit {bit} is reported");
        assert!(lost == 0 || bit / 8 >= HEADER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_skipped_counted_and_expires() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("topics/ns+t").join(file_name(1));
    for online in [false, true] {
        let log = open(dir.path()).await;
        let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
        let base = topic.bounds().next.get();
        let consumer = log.consumer(&format!("ns/c-{online}"), "ns/t", Start::End).await.unwrap();
        for number in base..base + 3 {
            append(topic.as_ref(), 1_000_000 + number).await;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let body = (1_000_000 + base + 1).to_string();
        let at = bytes.windows(body.len()).rposition(|window| window == body.as_bytes()).unwrap();
        bytes[at] ^= 1;
        let file = Disk.open(&path).unwrap();
        file.write_at(&bytes[at..=at], at as u64).unwrap();
        let (log, topic, consumer) = if online {
            (log, topic, consumer)
        } else {
            drop((consumer, topic, log));
            let log = open(dir.path()).await;
            let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
            let consumer = log.consumer("ns/c-false", "ns/t", Start::End).await.unwrap();
            (log, topic, consumer)
        };
        let leases = lease(consumer.as_ref(), 10).await;
        let sequences: Vec<u64> = leases.iter().map(|lease| lease.record.sequence.get()).collect();
        assert_eq!(sequences, [base, base + 2], "online: {online}");
        assert_eq!(consumer.counters().expired, 1);
        assert_eq!(topic.stats().quarantined, 1 + u64::from(online));
        drop((consumer, topic));
        log.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_waiters_of_a_failed_sync_are_told_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let log = LocalLog::open_with(dir.path(), Arc::new(SystemClock), disk.clone()).await.unwrap();
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    for number in 0..3 {
        append(topic.as_ref(), number).await;
    }
    disk.fail_syncs.store(true, Ordering::Relaxed);
    let waiters: Vec<_> = (100..132)
        .map(|number| {
            let topic = topic.clone();
            tokio::spawn(async move { topic.append(vec![numbered(number)]).await })
        })
        .collect();
    for waiter in waiters {
        let told = waiter.await.unwrap();
        assert!(matches!(told, Err(AppendError::Failed(LogError::Io { .. }))), "{told:?}");
    }
    assert_eq!(numbers(topic.as_ref()).await, [0, 1, 2], "reading goes on, and nothing in doubt is served");
    let known = topic.append(vec![numbered(1)]).await.unwrap();
    assert!(known[0].duplicate && known[0].accepted.is_durable());
    disk.fail_syncs.store(false, Ordering::Relaxed);
    assert_eq!(append(topic.as_ref(), 100).await, 4, "what failed is not a duplicate");
    assert!(topic.stats().failed_commits > 0);
    drop((topic, log));
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    assert_eq!(numbers(topic.as_ref()).await, [0, 1, 2, 100]);
    assert_eq!(topic.stats().quarantined, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_appends_and_heals_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let log = LocalLog::open_with(dir.path(), Arc::new(SystemClock), disk.clone()).await.unwrap();
    let config = TopicConfig { segment_bytes: 16 << 10, ..TopicConfig::default() };
    let topic = log.topic("ns/t", config).await.unwrap();
    append(topic.as_ref(), 0).await;
    disk.no_space.store(true, Ordering::Relaxed);
    let large = || NewRecord { body: Bytes::from(vec![1; 20_000]), ..NewRecord::default() };
    for _ in 0..3 {
        let refused = topic.append(vec![large()]).await;
        assert!(matches!(&refused, Err(AppendError::Failed(error)) if error.is_out_of_space()), "{refused:?}");
    }
    assert_eq!(numbers(topic.as_ref()).await, [0]);
    disk.no_space.store(false, Ordering::Relaxed);
    assert_eq!(topic.append(vec![large()]).await.unwrap()[0].accepted.sequence().get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_position_means_twice_and_never_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    append(topic.as_ref(), 0).await;
    append(topic.as_ref(), 1).await;
    log.close().await.unwrap();
    let path = dir.path().join("consumers/ns+c/position");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let log = open(dir.path()).await;
    log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    assert_eq!(lease(consumer.as_ref(), 9).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_lost_its_end_does_not_use_sequences_again() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let segment = dir.path().join("topics/ns+t").join(file_name(1));
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    append(topic.as_ref(), 0).await;
    std::fs::copy(&segment, old.path().join("backup")).unwrap();
    append(topic.as_ref(), 1).await;
    for lease in lease(consumer.as_ref(), 9).await {
        consumer.settle(&lease, crate::Settlement::Done(crate::Terminal::Delivered)).await.unwrap();
    }
    drop((topic, consumer));
    log.close().await.unwrap();
    std::fs::copy(old.path().join("backup"), &segment).unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    assert_eq!(append(topic.as_ref(), 2).await, 3);
    assert_eq!(lease(consumer.as_ref(), 9).await[0].record.body, "2", "a new event is not taken for a settled one");
}
