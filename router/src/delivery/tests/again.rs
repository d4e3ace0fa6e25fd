//! Events that come once more: beside live ones, behind them, and marked.

use weft_eventlog::NewRecord;

use super::*;
use crate::path::again::{Kind, Mark};

/// Copies what the topic holds into a lane, as a job does.
async fn copy(scene: &Scene, kind: Kind) {
    let trigger = scene.trigger();
    let lane = trigger.again.open(&scene.log, &trigger.name, kind).await.expect("a lane");
    let kept = scene.snapshot.topics[&name("orders")].log.read(Sequence::FIRST, 1_000, 1 << 20).await.expect("kept");
    let records = kept.into_iter().map(|record| {
        let mark = Mark { kind, job: "j-1".to_owned(), source: record.sequence };
        NewRecord {
            dedupe: None,
            key: record.key,
            subject: mark.to_string(),
            headers: record.headers,
            body: record.body,
        }
    });
    lane.log.append(records.collect()).await.expect("copied");
    scene.deliveries.serve_lanes();
}

fn marked(came: &Came) -> bool {
    came.event.extension("weftreplay").is_some() || came.event.extension("weftredrive").is_some()
}

#[tokio::test(start_paused = true)]
async fn they_are_marked_and_counted_beside_live_ones() {
    let scene = Scene::new("", |_, _| Ok(204)).await;
    for number in 0..5 {
        scene.publish(event(&number.to_string())).await;
    }
    scene.settled(SECOND).await;
    copy(&scene, Kind::Replay).await;
    copy(&scene, Kind::Redrive).await;
    scene.until(SECOND, |scene| scene.came().len() == 15).await;
    for (name, count) in [("weftreplay", 5), ("weftredrive", 5)] {
        let marked = scene.came().iter().filter(|came| came.event.extension(name) == Some("j-1")).count();
        assert_eq!(marked, count, "{name}");
    }
    scene.until(SECOND, |scene| scene.trigger().counters().pending == 0).await;
    let counters = scene.trigger().counters();
    assert_eq!((counters.accepted, counters.delivered), (15, 15));
    assert_eq!(scene.counters().accepted, 5, "live events are counted by themselves");
}

#[tokio::test(start_paused = true)]
async fn they_never_go_before_live_ones() {
    let scene = Scene::slow("inFlight: 4", SECOND, |_, _| Ok(204)).await;
    for number in 0..40 {
        scene.publish(event(&format!("live-{number}"))).await;
    }
    copy(&scene, Kind::Replay).await;
    scene.until(MINUTE, |scene| scene.counters().pending == 0 && scene.trigger().counters().pending == 0).await;
    let came = scene.came();
    let last_live = came.iter().rposition(|came| !marked(came)).expect("live ones");
    let first_again = came.iter().position(marked).expect("some again");
    // The last live ones are under way when nothing live waits any more.
    assert!(
        first_again + 4 >= last_live,
        "the first replayed event was number {first_again}, the last live one {last_live}"
    );
    // One attempt at a time: a quarter of four.
    let at: Vec<_> = came.iter().filter(|came| marked(came)).map(|came| came.at).collect();
    assert!(at.windows(2).all(|two| two[1] >= two[0] + SECOND), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn they_go_by_the_same_circuit() {
    let script = |_: usize, came: &Came| if came.at < HOUR { Err(Reason::UpConnect) } else { Ok(204) };
    let scene = Scene::new("retry: 0", script).await;
    for number in 0..20 {
        scene.publish(event(&number.to_string())).await;
    }
    copy(&scene, Kind::Redrive).await;
    tokio::time::sleep(HOUR - SECOND).await;
    assert_eq!(scene.trigger().counters().pending, 40);
    assert!(scene.came().len() < 100, "{}", scene.came().len());
    scene.until(HOUR, |scene| scene.trigger().counters().pending == 0).await;
    assert_eq!(scene.trigger().counters().delivered, 40);
}
