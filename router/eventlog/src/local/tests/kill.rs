//! `kill -9`: the test runs itself again as a child that appends and settles, kills it while it does, and looks for what
//! the child had been told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;
use crate::{Settlement, Start, Terminal, TopicConfig};

/// Set for the child: the data directory.
const CHILD: &str = "WEFT_EVENTLOG_KILL_TEST_DIR";
const CYCLES: u64 = 8;
/// Acknowledgements read before the kill; more may be on their way.
const LINES: usize = 150;

/// Appends from several tasks and says on stdout what was acknowledged, one write per line; fails every tenth event.
async fn child(dir: &Path) {
    let log = Arc::new(open(dir).await);
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    let base = topic.bounds().next.get() * 1_000;
    for task in 0..8 {
        let topic = topic.clone();
        tokio::spawn(async move {
            for number in (base + task * 100..).step_by(3) {
                let sequence = append(topic.as_ref(), number * 8 + task).await;
                say(&format!("ack {sequence} {}\n", number * 8 + task));
            }
        });
    }
    loop {
        for lease in consumer.lease(16).await.unwrap() {
            let sequence = lease.record.sequence.get();
            if sequence % 10 == 0 {
                let dead = Settlement::Dead { state: Terminal::Dead, cause: vec![] };
                consumer.settle(&lease, dead).await.unwrap();
                say(&format!("dead {sequence} 0\n"));
            } else {
                consumer.settle(&lease, Settlement::Done(Terminal::Delivered)).await.unwrap();
            }
        }
    }
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    if let Some(dir) = std::env::var_os(CHILD) {
        child(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut buried) = (Vec::new(), Vec::new());
    for _ in 0..CYCLES {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::tests::kill::nothing_acknowledged_is_lost_by_a_kill", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        // After the kill, what is still in the pipe was said too; a last line may be cut.
        while let Some(Ok(line)) = lines.next() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, sequence, number] = words.as_slice() else { continue };
            let (Ok(sequence), Ok(number)) = (sequence.parse::<u64>(), number.parse::<u64>()) else { continue };
            match *kind {
                "ack" => acknowledged.push((sequence, number)),
                "dead" => buried.push(sequence),
                _ => continue,
            }
            seen += 1;
            if seen == LINES {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(seen >= LINES, "the child ended by itself after {seen} lines");
        look(dir.path(), &acknowledged, &buried).await;
    }
}

/// Everything acknowledged is there, under its sequence; what was said to be dead is dead, once; the books balance.
async fn look(dir: &Path, acknowledged: &[(u64, u64)], buried: &[u64]) {
    let log = open(dir).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let kept = numbers(topic.as_ref()).await;
    for (sequence, number) in acknowledged {
        let at = usize::try_from(sequence - 1).unwrap();
        assert_eq!(kept.get(at), Some(number), "record {sequence} of {}", kept.len());
    }
    assert_eq!(topic.stats().quarantined, 0);
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    let dead = consumer.dead(None, usize::MAX).await.unwrap();
    let mut dead: Vec<u64> = dead
        .iter()
        .map(|dead| match &dead.what {
            crate::DeadEvents::One(record) => record.sequence.get(),
            crate::DeadEvents::Range { first, .. } => panic!("{first} expired"),
        })
        .collect();
    let entries = dead.len();
    dead.sort_unstable();
    dead.dedup();
    assert_eq!(dead.len(), entries, "an event is dead once");
    assert!(buried.iter().all(|sequence| dead.binary_search(sequence).is_ok()));
    let counters = consumer.counters();
    assert_eq!(counters.accepted, kept.len() as u64);
    assert_eq!((counters.dead, counters.ended() + counters.pending), (entries as u64, counters.accepted));
    log.close().await.unwrap();
}
