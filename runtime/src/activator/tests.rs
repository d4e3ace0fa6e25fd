//! From zero and back, with code that is only counted.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::timeout;

use super::*;

#[derive(Clone, Default)]
struct Fake {
    loads: Arc<AtomicU32>,
    failures: Arc<AtomicU32>,
    alive: Arc<AtomicU32>,
    steps: Arc<Mutex<Vec<String>>>,
}

struct FakeCode(Arc<AtomicU32>);

impl Drop for FakeCode {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Source for Fake {
    type Code = FakeCode;

    fn load(&self) -> Result<FakeCode, String> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err("the disk is gone".to_owned());
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        Ok(FakeCode(self.alive.clone()))
    }

    fn scaled(&self, from: u32, to: u32, why: &str) {
        self.steps.lock().unwrap().push(format!("{from}->{to} {why}"));
    }
}

impl Fake {
    fn steps(&self) -> Vec<String> {
        self.steps.lock().unwrap().clone()
    }

    async fn until_alive(&self, expect: u32) {
        let reached = async {
            while self.alive.load(Ordering::SeqCst) != expect {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), reached).await.expect("the code was loaded or unloaded in time");
    }
}

fn activator(min: u32, idle: Duration) -> (Fake, Arc<Activator<Fake>>) {
    let fake = Fake::default();
    (fake.clone(), Activator::new(fake, min, idle))
}

/// One call: what it holds, and whether it was the cold one.
async fn call(activator: &Arc<Activator<Fake>>) -> (Admission<Fake>, bool) {
    let admission = activator.admit().unwrap();
    let (_, load) = admission.code().await.unwrap();
    (admission, load.is_some())
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_hundred_calls_cause_one_load_and_one_of_them_is_the_cold_one() {
    let (fake, activator) = activator(0, HOUR);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let activator = activator.clone();
            tokio::spawn(async move { call(&activator).await.1 })
        })
        .collect();
    let mut cold = 0;
    for call in calls {
        cold += u32::from(call.await.unwrap());
    }
    assert_eq!((fake.loads.load(Ordering::SeqCst), cold), (1, 1));
    assert_eq!(fake.steps(), ["0->1 a call came"]);
    assert_eq!(activator.loads(), (true, 1));
}

#[tokio::test]
async fn an_idle_function_goes_to_zero_and_comes_back() {
    let (fake, activator) = activator(0, Duration::ZERO);
    let held = call(&activator).await;
    assert_eq!(fake.alive.load(Ordering::SeqCst), 1);
    drop(held);
    fake.until_alive(0).await;
    drop(call(&activator).await);
    fake.until_alive(0).await;
    assert_eq!(fake.steps(), ["0->1 a call came", "1->0 idle", "0->1 a call came", "1->0 idle"]);
}

#[tokio::test]
async fn the_idle_time_is_counted_from_the_end_of_the_last_call() {
    let (fake, activator) = activator(0, HOUR);
    let first = call(&activator).await;
    tokio::time::pause();
    tokio::time::advance(HOUR * 2).await;
    assert_eq!(fake.alive.load(Ordering::SeqCst), 1, "a call holds it");
    drop(first);
    tokio::time::advance(HOUR - Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    assert_eq!(fake.alive.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    fake.until_alive(0).await;
}

#[tokio::test]
async fn with_a_minimum_it_stays_until_it_is_retired() {
    let (fake, activator) = activator(1, Duration::ZERO);
    activator.put(fake.load().unwrap(), "scale.min");
    drop(call(&activator).await);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(activator.loads(), (true, 0));
    activator.retire();
    fake.until_alive(0).await;
    assert_eq!(fake.steps(), ["0->1 scale.min", "1->0 the revision is retired"]);
}

#[tokio::test]
async fn a_retired_revision_is_unloaded_when_its_last_call_ends() {
    let (fake, activator) = activator(0, HOUR);
    let held = call(&activator).await;
    activator.retire();
    assert_eq!(activator.admit().err(), Some(Retired));
    assert_eq!(fake.alive.load(Ordering::SeqCst), 1);
    drop(held);
    fake.until_alive(0).await;
}

#[tokio::test]
async fn a_failed_load_fails_those_who_waited_and_the_next_call_tries_again() {
    let (fake, activator) = activator(0, HOUR);
    fake.failures.store(1, Ordering::SeqCst);
    let admission = activator.admit().unwrap();
    assert_eq!(admission.code().await.err().unwrap(), "the disk is gone");
    assert!(admission.code().await.is_ok());
    assert_eq!(fake.steps(), ["0->1 a call came"]);
}

#[tokio::test]
async fn dropping_the_revision_unloads_it() {
    let (fake, activator) = activator(1, HOUR);
    drop(call(&activator).await);
    drop(activator);
    fake.until_alive(0).await;
    assert_eq!(fake.steps().last().unwrap(), "1->0 the revision was dropped");
}

#[tokio::test]
async fn a_call_let_in_before_the_revision_was_retired_gets_its_code() {
    let (fake, activator) = activator(0, HOUR);
    let waiting = activator.admit().unwrap();
    activator.retire();
    waiting.code().await.unwrap();
    assert_eq!(fake.alive.load(Ordering::SeqCst), 1);
    drop(waiting);
    fake.until_alive(0).await;
}
