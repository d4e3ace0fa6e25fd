//! Events that have their time: held back, expired, too old; and when what failed is tried again.

use super::*;

/// The time of day, `after` the beginning.
fn time(after: Duration) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp((BEGIN_MS / 1_000 + after.as_secs()) as i64).expect("a time");
    at.format(&time::format_description::well_known::Rfc3339).expect("a text")
}

fn with(id: &str, name: &'static str, after: Duration) -> Event {
    event(id).with_extension(name, time(after)).expect("an extension")
}

#[tokio::test(start_paused = true)]
async fn an_event_is_held_back_until_its_time() {
    let scene = Scene::new("maxAge: 1h", |_, _| Ok(204)).await;
    // Longer than the log puts anything aside at once, and longer than `maxAge`.
    let later = scene.publish(with("later", "weftdelivernotbefore", 60 * HOUR)).await;
    scene.publish(with("soon", "weftdelivernotbefore", 90 * SECOND)).await;
    scene.publish(event("now")).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(scene.ids(), ["now"]);
    let waits = scene.trigger().consumer.state_of(later);
    assert!(matches!(waits, Some(EventState::Retrying { attempt: 1, .. })), "{waits:?}");
    scene.settled(61 * HOUR).await;
    let came = scene.came();
    assert_eq!(scene.ids(), ["now", "soon", "later"]);
    for (came, expect) in came[1..].iter().zip([90 * SECOND, 60 * HOUR]) {
        assert!(came.at >= expect && came.at < expect + SECOND, "{came:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_event_is_not_delivered() {
    let scene = Scene::new("retry: 100, backoffDelay: 1m, backoffMax: 1h", |_, _| Ok(500)).await;
    scene.publish(with("gone", "expirytime", Duration::ZERO)).await;
    scene.publish(with("goes", "expirytime", 30 * MINUTE)).await;
    tokio::time::sleep_until(scene.begin + 30 * MINUTE - SECOND).await;
    assert_eq!((scene.counters().expired, scene.counters().pending), (1, 1));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((scene.counters().expired, scene.counters().pending), (2, 0), "not only at its next try");
    assert!(scene.ids().iter().all(|id| id == "goes"), "{:?}", scene.ids());
    let dead = scene.dead().await;
    let past = crate::path::attempts::PastAttempt::all(&dead[1].cause);
    assert!(past.len() > 2 && past.iter().all(|past| past.status == Some(500)), "{:?}", dead[1].cause);
}

#[tokio::test(start_paused = true)]
async fn tries_follow_the_schedule() {
    /// The trigger's settings, and the longest wait before each retry, in milliseconds.
    const ROWS: [(&str, &[u64]); 3] = [
        ("retry: 4, backoffDelay: PT1S", &[1_000, 2_000, 4_000, 8_000]),
        ("retry: 3, backoffPolicy: linear, backoffDelay: PT2S", &[2_000, 4_000, 6_000]),
        ("retry: 4, backoffDelay: PT1S, backoffMax: PT3S", &[1_000, 2_000, 3_000, 3_000]),
    ];
    for (delivery, longest) in ROWS {
        let scene = Scene::new(delivery, |_, _| Ok(500)).await;
        scene.publish(event("1")).await;
        assert_eq!(scene.settled(MINUTE).await.dead, 1);
        let at: Vec<_> = scene.came().iter().map(|came| came.at).collect();
        assert_eq!(at.len(), longest.len() + 1, "{delivery}");
        for (two, longest) in at.windows(2).zip(longest) {
            assert!((two[1] - two[0]).as_millis() as u64 <= longest + 2, "{delivery}: {at:?}");
        }
    }
}
