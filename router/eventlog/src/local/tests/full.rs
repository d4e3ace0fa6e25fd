//! A full disk: no event is taken in, what is there is delivered and settled, and it ends by itself when there is space.

use std::process::Command;
use std::time::Duration;

use super::sim::SimDisk;
use super::*;
use crate::{AppendError, Counters, LogError, Settlement, Start, Terminal, TopicConfig};

/// Set for the child: the directory of a small file system.
const CHILD: &str = "WEFT_EVENTLOG_FULL_TEST_DIR";

fn config() -> TopicConfig {
    TopicConfig { segment_bytes: 256 << 10, ..TopicConfig::default() }
}

fn big(number: u64) -> NewRecord {
    NewRecord { body: Bytes::from(vec![b'x'; 2_000]), ..numbered(number) }
}

/// Appends until there is no space; how many were accepted.
async fn fill(topic: &dyn Topic, from: u64) -> u64 {
    for number in from.. {
        match topic.append(vec![big(number)]).await {
            Ok(_) => {}
            Err(AppendError::Failed(error)) if error.is_out_of_space() => return number - from,
            refused => panic!("{refused:?}"),
        }
    }
    unreachable!("the disk has no end")
}

fn settlement(sequence: u64) -> Settlement {
    match sequence % 20 {
        0 => Settlement::Dead { state: Terminal::Dead, cause: vec![] },
        1 => Settlement::Retry { due_ms: 0, cause: vec![], counted: true },
        _ => Settlement::Done(Terminal::Delivered),
    }
}

/// Settles everything, each event at its first attempt as its sequence says; how many retries there were.
async fn settle_all(consumer: &dyn Consumer) -> u64 {
    let mut retries = 0;
    while consumer.counters().pending > 0 {
        for lease in lease(consumer, 64).await {
            let settlement = match lease.attempt {
                1 => settlement(lease.record.sequence.get()),
                _ => Settlement::Done(Terminal::Delivered),
            };
            retries += u64::from(matches!(settlement, Settlement::Retry { .. }));
            consumer.settle(&lease, settlement).await.unwrap();
        }
    }
    retries
}

/// The whole story, on whatever disk it is; `free` gives it space again.
async fn story(log: &LocalLog, free: impl FnOnce()) -> u64 {
    let topic = log.topic("ns/t", config()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    let accepted = fill(topic.as_ref(), 0).await;
    assert!(accepted > 100, "{accepted} events fill the disk");
    let retries = settle_all(consumer.as_ref()).await;
    assert_eq!(retries, accepted.div_ceil(20));
    let counters = consumer.counters();
    let dead = accepted / 20;
    assert_eq!(counters, Counters { accepted, dead, delivered: accepted - dead, ..Counters::default() });
    let refused = topic.append(vec![big(accepted)]).await;
    assert!(matches!(&refused, Err(AppendError::Failed(error)) if error.is_out_of_space()), "{refused:?}");
    let known = topic.append(vec![big(0)]).await.unwrap();
    assert!(known[0].duplicate, "a duplicate needs no space");
    assert!(topic.stats().out_of_space);
    assert_eq!(topic.read(topic.bounds().first, usize::MAX, usize::MAX).await.unwrap().len() as u64, accepted);
    free();
    let again = async {
        while topic.append(vec![big(accepted)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("events are taken in again by themselves");
    assert!(!topic.stats().out_of_space);
    accepted
}

#[test]
fn a_full_disk_stops_publishing_and_not_delivering() {
    virtual_time().block_on(async {
        let disk = SimDisk::default();
        disk.faults(|faults| faults.space = Some(1 << 20));
        let open = async || {
            LocalLog::open_with("/log".as_ref(), Arc::new(SystemClock), Arc::new(disk.reborn())).await.unwrap()
        };
        let log = open().await;
        let accepted = story(&log, || disk.faults(|faults| faults.space = Some(2 << 20))).await;
        drop(log);
        let log = open().await;
        let topic = log.topic("ns/t", config()).await.unwrap();
        let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
        assert_eq!((topic.bounds().next.get(), topic.stats().quarantined), (accepted + 2, 0));
        assert_eq!(consumer.counters().dead, accepted / 20);
    });
}

/// The disk is full from any moment on: everything either works or says so, and nothing acknowledged is lost.
#[test]
fn space_may_end_at_any_moment() {
    let full = |result: Result<(), LogError>| match result {
        Err(error) if !error.is_out_of_space() => panic!("{error}"),
        result => result.is_ok(),
    };
    virtual_time().block_on(async {
        let (mut opened, mut settled) = (0, 0);
        for pages in 0..200 {
            let disk = SimDisk::default();
            let open =
                async || LocalLog::open_with("/log".as_ref(), Arc::new(SystemClock), Arc::new(disk.reborn())).await;
            disk.faults(|faults| faults.space = Some(pages * 4_096));
            let (mut kept, mut dead) = (Vec::new(), Vec::new());
            let mut used = async || {
                let log = open().await?;
                let topic = log.topic("ns/t", config()).await?;
                let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await?;
                opened += 1;
                for number in 0..20 {
                    match topic.append(vec![big(number)]).await {
                        Ok(appended) => kept.push((appended[0].accepted.sequence().get(), number)),
                        Err(AppendError::Failed(error)) if error.is_out_of_space() => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                while consumer.counters().pending > 0 && dead.len() < 5 {
                    let lease = lease(consumer.as_ref(), 1).await.remove(0);
                    consumer.settle(&lease, Settlement::Dead { state: Terminal::Dead, cause: vec![] }).await?;
                    dead.push(lease.record.sequence.get());
                    settled += 1;
                }
                log.close().await
            };
            full(used().await);
            disk.faults(|faults| faults.space = None);
            let log = open().await.unwrap();
            let topic = log.topic("ns/t", config()).await.unwrap();
            let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
            let there = topic.read(topic.bounds().first, usize::MAX, usize::MAX).await.unwrap();
            let there: Vec<_> = there.iter().map(|record| (record.sequence.get(), &record.dedupe)).collect();
            for (sequence, number) in &kept {
                assert!(there.contains(&(*sequence, &numbered(*number).dedupe)), "with {pages} pages: {sequence}");
            }
            assert_eq!(consumer.counters().dead, dead.len() as u64, "with {pages} pages");
            assert_eq!(topic.stats().quarantined, 0, "with {pages} pages");
        }
        assert!(opened > 50 && settled > 50, "{opened} opened, {settled} settled");
    });
}

/// The same story on a file system of the machine that is really full.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_file_system_that_is_full_stops_publishing_and_not_delivering() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let dir = Path::new(&dir);
        let ballast = dir.join("ballast");
        std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
        let log = open(&dir.join("log")).await;
        let accepted = story(&log, || std::fs::remove_file(&ballast).unwrap()).await;
        log.close().await.unwrap();
        let log = open(&dir.join("log")).await;
        let topic = log.topic("ns/t", config()).await.unwrap();
        assert_eq!((topic.bounds().next.get(), topic.stats().quarantined), (accepted + 2, 0));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // In a mount namespace of its own; as an ordinary user in a user namespace too.
    let script = "mount -t tmpfs -o size=6m tmpfs \"$0\" && exec \"$@\"";
    let test = "local::tests::full::a_real_file_system_that_is_full_stops_publishing_and_not_delivering";
    let run = |namespaces: &str| {
        let mut unshare = Command::new("unshare");
        unshare.arg(namespaces).args(["sh", "-c", script]).arg(dir.path()).arg(std::env::current_exe().unwrap());
        unshare.args(["--exact", test, "--nocapture"]).env(CHILD, dir.path()).output().unwrap()
    };
    let probe = |namespaces: &str| {
        let mut unshare = Command::new("unshare");
        unshare.arg(namespaces).args(["sh", "-c", script]).arg(dir.path()).arg("true");
        unshare.output().is_ok_and(|output| output.status.success())
    };
    let Some(namespaces) = ["-m", "-Urm"].into_iter().find(|namespaces| probe(namespaces)) else {
        assert!(std::env::var_os("CI").is_none(), "this machine cannot mount a small file system; CI must");
        println!("skipped: this machine cannot mount a small file system");
        return;
    };
    let output = run(namespaces);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
