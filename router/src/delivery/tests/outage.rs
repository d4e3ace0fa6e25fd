//! Targets that are not there, and targets that fail: what pauses a trigger, what uses up its tries, and what neither does.

use super::*;
use crate::path::circuit::{Cause as Why, Standing};

/// A subscriber that is down for six hours, while events go on being published.
#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_costs_no_event() {
    let down = 6 * HOUR;
    let script = move |_: usize, came: &Came| if came.at < down { Err(Reason::UpConnect) } else { Ok(204) };
    let scene = Scene::slow("retry: 2, inFlight: 4", Duration::from_millis(5), script).await;
    for number in 0..2_000 {
        scene.publish(event(&format!("before-{number}"))).await;
        tokio::time::sleep(10 * SECOND).await;
    }
    tokio::time::sleep_until(scene.begin + down - SECOND).await;
    let counters = scene.counters();
    assert_eq!((counters.accepted, counters.pending), (2_000, 2_000), "nothing is dead, nothing is lost");
    let asked = scene.came().len();
    // The pause grows to five minutes: about 72 tries, and not one for each event.
    assert!((60..250).contains(&asked), "{asked} attempts");

    // New events are delivered while the backlog drains.
    tokio::time::sleep_until(scene.begin + down + MINUTE * 5).await;
    for number in 0..100 {
        scene.publish(event(&format!("after-{number}"))).await;
        tokio::time::sleep(SECOND / 10).await;
    }
    let counters = scene.settled(HOUR).await;
    assert_eq!((counters.delivered, counters.dead, counters.expired), (2_100, 0, 0));
    let came = scene.came();
    let mut taken: Vec<_> = came.iter().filter(|came| came.at >= down).map(|came| came.id.as_str()).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 2_100, "each was taken");
    let last = came.iter().map(|came| came.at).max().expect("some came");
    assert!(last < down + 6 * MINUTE, "{last:?}: the drain takes as long as its tries do");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_there_uses_up_no_try() {
    for reason in [Reason::UpConnect, Reason::UpTimeout, Reason::FnTimeout, Reason::ColdTimeout, Reason::LimitQueue] {
        let scene = Scene::new("retry: 0", move |number, _| if number < 5 { Err(reason) } else { Ok(204) }).await;
        scene.publish(event("1")).await;
        let counters = scene.settled(HOUR).await;
        assert_eq!((counters.delivered, scene.came().len()), (1, 6), "{}", reason.code());
    }
    for status in [429, 503] {
        let scene = Scene::new("retry: 0", move |number, _| Ok(if number < 5 { status } else { 204 })).await;
        scene.publish(event("1")).await;
        assert_eq!(scene.settled(HOUR).await.delivered, 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_uses_up_its_tries() {
    for reason in [Reason::FnTrap, Reason::FnCpu, Reason::FnMemory, Reason::FnBadResponse, Reason::UpReset] {
        let scene = Scene::new("retry: 2", move |_, _| Err(reason)).await;
        scene.publish(event("1")).await;
        let counters = scene.settled(HOUR).await;
        assert_eq!((counters.dead, scene.came().len()), (1, 3), "{}", reason.code());
        let dead = scene.dead().await;
        assert_eq!(dead[0].attempts, 3);
    }
    // Failures count whatever lies between them.
    let script = |number: usize, _: &Came| if number.is_multiple_of(2) { Err(Reason::UpConnect) } else { Ok(500) };
    let scene = Scene::new("retry: 2", script).await;
    scene.publish(event("1")).await;
    assert_eq!((scene.settled(HOUR).await.dead, scene.came().len()), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_ends_while_the_trigger_is_paused() {
    let scene = Scene::new("retry: 9, maxAge: 10m, backoffMax: 1h, backoffDelay: 30m", |_, _| Ok(503)).await;
    for number in 0..50 {
        scene.publish(event(&number.to_string())).await;
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep_until(scene.begin + 10 * MINUTE - SECOND).await;
    assert_eq!(scene.counters().pending, 50);
    tokio::time::sleep_until(scene.begin + 11 * MINUTE + 15 * SECOND).await;
    assert_eq!((scene.counters().expired, scene.counters().pending), (50, 0), "maxAge wins over every pause");
    assert!(scene.dead().await.iter().all(|dead| dead.cause.iter().any(|(_, value)| value == "EVENT_EXPIRED")));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_whatever_it_is_given_is_left_alone_too() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let script = {
        let broken = broken.clone();
        move |_: usize, _: &Came| Ok(if broken.load(std::sync::atomic::Ordering::SeqCst) { 500 } else { 204 })
    };
    let scene = Scene::new("retry: 3, inFlight: 1, backoffDelay: 10s, backoffMax: 1m", script).await;
    for number in 0..500 {
        scene.publish(event(&number.to_string())).await;
    }
    scene
        .until(MINUTE, |scene| matches!(scene.trigger().circuit.standing(Instant::now()), Standing::Open { .. }))
        .await;
    assert_eq!(scene.trigger().circuit.opened(Why::Failing), 1);
    assert_eq!(scene.came().len(), 20, "after 20 different events");
    tokio::time::sleep(30 * MINUTE).await;
    let dead = scene.counters().dead;
    assert!(dead < 20, "{dead} of 500 are dead after half an hour, not all within seconds");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(scene.settled(HOUR).await.delivered, 500 - scene.counters().dead);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_final_pauses_nothing() {
    let scene = Scene::new("retry: 3", |_, _| Ok(400)).await;
    for number in 0..100 {
        scene.publish(event(&number.to_string())).await;
    }
    assert_eq!(scene.settled(SECOND).await.dead, 100);
    assert_eq!(scene.trigger().circuit.opened(Why::Failing), 0);
}

/// One event at which the target is never there, among others that it takes.
#[tokio::test(start_paused = true)]
async fn one_poisonous_event_holds_up_the_others_for_moments() {
    let script = |_: usize, came: &Came| if came.id == "bad" { Err(Reason::UpTimeout) } else { Ok(204) };
    let scene = Scene::new("retry: 2, maxAge: 2h", script).await;
    scene.publish(event("bad")).await;
    for number in 0..600 {
        scene.publish(event(&number.to_string())).await;
        tokio::time::sleep(SECOND / 10).await;
    }
    scene.until(SECOND * 5, |scene| scene.counters().delivered == 600).await;
    let tries = scene.ids().iter().filter(|id| *id == "bad").count();
    assert!((2..20).contains(&tries), "{tries}: its own wait grows though others are taken");
    assert_eq!(scene.settled(3 * HOUR).await.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_kept_pauses_the_trigger() {
    let scene =
        Scene::new("retry: 0, deadLetter: { topic: nowhere }, maxAge: 1h, backoffMax: 1m", |_, _| Ok(500)).await;
    for number in 0..10 {
        scene.publish(event(&number.to_string())).await;
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!((scene.counters().dead, scene.counters().pending), (0, 10), "none is settled before its copy is kept");
    let calls = scene.ids().len();
    assert!(calls <= 10, "{calls}: the target is not called again for a copy");
    let counters = scene.settled(2 * HOUR).await;
    assert_eq!(counters.dead + counters.expired, 10);
}
