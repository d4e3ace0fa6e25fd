//! Jobs in virtual time, with a trigger whose events nobody delivers but the test.

use std::time::Duration;

use tokio::time::Instant;
use weft_eventlog::{Consumer, Counters, Lease, MemoryLog, NewRecord, Sequence, Settlement, Terminal};
use weft_functions::event::Event;

use super::*;
use crate::path::again::{Kind, Mark};
use crate::path::caller::{Caller, Proof};
use crate::path::fixture::{self, Virtual};
use crate::path::policy::Default as Verdict;
use crate::path::snapshot::DeployedTrigger;
use crate::targets::upstream::Upstream;

const MANIFESTS: &str = "\
apiVersion: weft.dev/v1alpha1
kind: Topic
metadata: { name: orders }
---
apiVersion: weft.dev/v1alpha1
kind: Trigger
metadata: { name: out }
spec: { topic: orders, url: 'http://sink.example/', filters: [ { not: { exact: { type: other } } } ] }
";

struct Scene {
    log: Arc<MemoryLog>,
    mesh: Arc<Mesh>,
    clock: Arc<dyn Clock>,
    jobs: Arc<Jobs>,
    trigger: Arc<DeployedTrigger>,
}

impl Scene {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Virtual(Instant::now()));
        let log = Arc::new(MemoryLog::new(clock.clone()));
        let mut snapshot = fixture::snapshot(1, Verdict::Allow, "");
        fixture::deploy(&mut snapshot, &log, MANIFESTS).await;
        let mesh = fixture::mesh_of(snapshot, Upstream::new().expect("the system's certificates"));
        let jobs = open(&log, &mesh, &clock).await;
        let trigger = mesh.snapshot().triggers[&name()].clone();
        Self { log, mesh, clock, jobs, trigger }
    }

    /// As after a restart of the node.
    async fn restart(&mut self) {
        self.jobs.stop().await;
        self.jobs = open(&self.log, &self.mesh, &self.clock).await;
        self.jobs.resume();
    }

    /// Keeps an event as a publish would.
    async fn publish(&self, id: &str, ty: &str) {
        let event = Event::builder().id(id.to_owned()).source("/test").ty(ty.to_owned()).build().expect("an event");
        let topic = self.trigger.topic.clone();
        let caller = Caller::direct(self.trigger.identity.clone().into(), Proof::Dev);
        let headers = self.mesh.envelopes.seal(&topic, &caller, 0, &[]).seal(&event);
        let record = NewRecord { headers, key: Some("k".to_owned()), ..NewRecord::default() };
        self.mesh.snapshot().topics[&topic].log.append(vec![record]).await.expect("kept");
    }

    /// Ends the next live event so.
    async fn end(&self, settlement: Settlement) {
        let lease = self.trigger.consumer.lease(1).await.expect("a lease").remove(0);
        self.trigger.consumer.settle(&lease, settlement).await.expect("settled");
    }

    async fn lane(&self, kind: Kind) -> Arc<dyn Consumer> {
        let lane = self.trigger.again.open(self.log.as_ref(), &self.trigger.name, kind).await.expect("a lane");
        lane.consumer.clone()
    }

    /// Delivers what comes into the lane until the job is over; the ids, in their order.
    async fn deliver(&self, kind: Kind, job: &str) -> Vec<String> {
        let lane = self.lane(kind).await;
        let mut ids = Vec::new();
        while !self.is_over(job) {
            let Ok(leases) = tokio::time::timeout(Duration::from_millis(5), lane.lease(9)).await else { continue };
            for lease in leases.expect("leases") {
                ids.push(self.taken(kind, job, &lease));
                lane.settle(&lease, Settlement::Done(Terminal::Delivered)).await.expect("settled");
            }
        }
        ids
    }

    /// The id of a leased copy, which is what it should be.
    fn taken(&self, kind: Kind, job: &str, lease: &Lease) -> String {
        let mark = Mark::of(&lease.record).expect("a mark");
        assert_eq!((mark.kind, mark.job.as_str()), (kind, job));
        let (event, _) = self.mesh.envelopes.open(&self.trigger.topic, &lease.record).expect("proven as it was");
        assert_eq!(mark.on(event.clone()).extension(kind.attribute()), Some(job));
        event.id().to_owned()
    }

    async fn until_over(&self, job: &str) {
        while !self.is_over(job) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn is_over(&self, job: &str) -> bool {
        matches!(self.show(job)["state"].as_str(), Some("done" | "stopped" | "failed"))
    }

    fn show(&self, job: &str) -> Value {
        self.jobs.one(job).expect("a job")
    }

    fn counts(&self, job: &str) -> [u64; 4] {
        let job = self.show(job);
        ["scanned", "matched", "repeated", "delivered"].map(|name| job[name].as_u64().expect("a number"))
    }
}

async fn open(log: &Arc<MemoryLog>, mesh: &Arc<Mesh>, clock: &Arc<dyn Clock>) -> Arc<Jobs> {
    let parts = Parts { log: log.clone(), mesh: mesh.clone(), clock: clock.clone(), on_lane: Arc::new(|| ()) };
    Jobs::open(parts).await.expect("opens")
}

fn name() -> Namespaced {
    "default/out".parse().expect("a name")
}

fn order(kind: Kind) -> Order {
    let range = (Sequence::FIRST, Sequence::new(u64::MAX));
    let by = "spiffe://weft.local/ns/default/sa/dev".to_owned();
    Order { kind, trigger: name(), event: None, source: None, filter: None, range, rate: 100, by }
}

fn dead(state: Terminal) -> Settlement {
    Settlement::Dead { state, cause: vec![("status".to_owned(), "500".to_owned())] }
}

#[tokio::test(start_paused = true)]
async fn what_ended_without_being_delivered_is_redriven_once() {
    let scene = Scene::new().await;
    for (id, state) in [("1", Terminal::Dead), ("2", Terminal::Denied), ("3", Terminal::Expired)] {
        scene.publish(id, "t").await;
        scene.end(dead(state)).await;
    }
    scene.publish("4", "t").await;
    scene.end(Settlement::Done(Terminal::Delivered)).await;
    let first = scene.jobs.begin(order(Kind::Redrive)).await.expect("begins");
    assert_eq!(scene.deliver(Kind::Redrive, &first).await, ["1", "2", "3"]);
    assert_eq!((scene.show(&first)["state"].as_str(), scene.counts(&first)), (Some("done"), [3, 3, 0, 3]));

    let again = scene.jobs.begin(order(Kind::Redrive)).await.expect("begins");
    assert!(scene.deliver(Kind::Redrive, &again).await.is_empty());
    assert_eq!(scene.counts(&again), [3, 0, 3, 0], "they were redriven");
    let one = Order { event: Some("2".to_owned()), ..order(Kind::Redrive) };
    let one = scene.jobs.begin(one).await.expect("begins");
    assert_eq!(scene.deliver(Kind::Redrive, &one).await, ["2"], "unless somebody asks for it by its id");
    let counters = scene.trigger.counters();
    assert_eq!((counters.accepted, counters.ended(), counters.pending), (8, 8, 0), "each is accepted again");
    assert_eq!(scene.jobs.list(|_| true).len(), 3);
    assert!(scene.jobs.list(|_| false).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_died_once_more_can_be_redriven_too() {
    let scene = Scene::new().await;
    scene.publish("1", "t").await;
    scene.end(dead(Terminal::Dead)).await;
    let first = scene.jobs.begin(order(Kind::Redrive)).await.expect("begins");
    let lane = scene.lane(Kind::Redrive).await;
    let lease = lane.lease(1).await.expect("a lease").remove(0);
    lane.settle(&lease, dead(Terminal::Dead)).await.expect("settled");
    scene.until_over(&first).await;
    assert_eq!(scene.show(&first)["failed"], 1);
    let second = scene.jobs.begin(order(Kind::Redrive)).await.expect("begins");
    assert_eq!(scene.deliver(Kind::Redrive, &second).await, ["1"], "from the dead log of redriven events");
    assert_eq!(scene.counts(&second), [2, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_takes_what_it_is_asked_for_and_no_faster() {
    let scene = Scene::new().await;
    for number in 1..=300 {
        scene.publish(&number.to_string(), if number % 3 == 0 { "other" } else { "t" }).await;
    }
    let range = (Sequence::new(101), Sequence::new(251));
    let filter = Some("id NOT IN ('110', '111', '112')".to_owned());
    let begun = Instant::now();
    let job = scene.jobs.begin(Order { range, filter, ..order(Kind::Replay) }).await.expect("begins");
    let ids = scene.deliver(Kind::Replay, &job).await;
    // Every third is filtered out by the trigger; 110 and 112 are not wanted.
    let expect: Vec<String> =
        (101..251).filter(|n| n % 3 != 0 && ![110, 112].contains(n)).map(|n| n.to_string()).collect();
    assert_eq!(ids, expect);
    assert_eq!(scene.counts(&job), [150, 98, 0, 98]);
    let took = begun.elapsed().as_secs_f64();
    assert!((0.85..1.6).contains(&took), "98 events at 100 a second took {took} s");
    // Live events are another matter.
    assert_eq!(scene.trigger.consumer.counters(), Counters { accepted: 300, pending: 300, ..Counters::default() });
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_after_a_restart_and_hands_in_nothing_twice() {
    let mut scene = Scene::new().await;
    for number in 0..200 {
        scene.publish(&format!("{number:03}"), "t").await;
    }
    let job = scene.jobs.begin(order(Kind::Replay)).await.expect("begins");
    let lane = scene.lane(Kind::Replay).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        for _ in 0..30 {
            let lease = lane.lease(1).await.expect("a lease").remove(0);
            ids.push(scene.taken(Kind::Replay, &job, &lease));
            lane.settle(&lease, Settlement::Done(Terminal::Delivered)).await.expect("settled");
        }
        scene.restart().await;
    }
    ids.extend(scene.deliver(Kind::Replay, &job).await);
    assert_eq!(ids, (0..200).map(|number| format!("{number:03}")).collect::<Vec<_>>());
    assert_eq!(scene.show(&job)["state"], "done");
    scene.restart().await;
    assert_eq!(scene.show(&job)["state"], "done", "one that is over is remembered");
    assert_eq!(scene.show(&job)["delivered"], 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_job_handed_in_and_did_not_write_down_counts_once() {
    let mut scene = Scene::new().await;
    for number in 0..20 {
        scene.publish(&number.to_string(), "t").await;
    }
    let job = scene.jobs.begin(order(Kind::Replay)).await.expect("begins");
    let lane = scene.lane(Kind::Replay).await;
    for _ in 0..10 {
        let lease = lane.lease(1).await.expect("a lease").remove(0);
        lane.settle(&lease, Settlement::Done(Terminal::Delivered)).await.expect("settled");
    }
    scene.jobs.stop().await;
    let journal = scene.log.journal(JOURNAL).await.expect("a journal");
    let begun = journal.read_all().await.expect("contents").entries[0].bytes.clone();
    journal.append(begun).await.expect("as if it had come no further");
    scene.restart().await;
    assert_eq!(scene.deliver(Kind::Replay, &job).await.len(), 10);
    assert_eq!(scene.counts(&job), [20, 20, 0, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_for_room_and_stops() {
    let scene = Scene::new().await;
    for number in 0..500 {
        scene.publish(&number.to_string(), "t").await;
    }
    let job = scene.jobs.begin(Order { rate: 10_000, ..order(Kind::Replay) }).await.expect("begins");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lane = scene.lane(Kind::Replay).await;
    assert_eq!(lane.counters().pending, 64, "no further ahead than that");
    let other = scene.jobs.begin(order(Kind::Replay)).await;
    assert!(matches!(other, Err(JobError::GoingOn(id)) if id == job));
    scene.jobs.stop_one(&job).expect("a job");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.show(&job)["state"], "stopped");
    assert!(scene.jobs.begin(order(Kind::Replay)).await.is_ok());
    let unknown = Order { trigger: "default/none".parse().expect("a name"), ..order(Kind::Replay) };
    assert!(matches!(scene.jobs.begin(unknown).await, Err(JobError::NoTrigger(_))));
    for unknown in ["j-99", "j-", "1", ""] {
        assert!(matches!(scene.jobs.one(unknown), Err(JobError::NoJob(_))), "{unknown}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_entries_become_a_checkpoint() {
    let mut scene = Scene::new().await;
    let mut last = String::new();
    for _ in 0..COMPACT_AFTER / 2 + 10 {
        last = scene.jobs.begin(order(Kind::Replay)).await.expect("begins");
        scene.until_over(&last).await;
    }
    let journal = scene.log.journal(JOURNAL).await.expect("a journal").read_all().await.expect("contents");
    assert!(journal.checkpoint.is_some() && journal.entries.len() < COMPACT_AFTER);
    scene.restart().await;
    assert_eq!(scene.show(&last)["state"], "done");
    assert_eq!(scene.jobs.list(|_| true).len(), REMEMBERED, "the oldest are forgotten");
}
