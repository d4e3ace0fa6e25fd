//! `ordered: true`: one event of a key after the other, keys beside each other, and no key waits for another.

use std::collections::HashMap;

use super::*;

#[tokio::test(start_paused = true)]
async fn events_of_a_key_come_one_after_the_other_and_keys_beside_each_other() {
    // Some attempts fail, in one way or the other.
    let script = |number: usize, _: &Came| match number % 30 {
        9 => Ok(500),
        19 => Err(Reason::UpConnect),
        _ => Ok(204),
    };
    let takes = SECOND / 5;
    let scene = Scene::slow("ordered: true, retry: 1000, backoffMax: 1s", takes, script).await;
    for number in 0..400 {
        scene.publish(event_of(&format!("{number:03}"), &format!("key-{}", number % 7))).await;
    }
    assert_eq!(scene.settled(HOUR).await.delivered, 400);
    // The last attempt at each event is the one that was taken.
    let mut last: HashMap<String, Duration> = HashMap::new();
    for came in scene.came() {
        last.insert(came.id, came.at);
    }
    for key in 0..7 {
        let of_key: Vec<_> =
            (0..400).filter(|number| number % 7 == key).map(|number| last[&format!("{number:03}")]).collect();
        assert!(of_key.is_sorted(), "key {key}: {of_key:?}");
        of_key.windows(2).for_each(|two| assert!(two[1] - two[0] >= takes, "key {key}: one in flight"));
    }
    let whole = *last.values().max().expect("some came");
    assert!(whole < takes * 400 / 2, "{whole:?}: keys are delivered beside each other");
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_event_blocks_its_key_until_it_is_dead() {
    let script = |_: usize, came: &Came| Ok(if came.id == "a1" { 500 } else { 204 });
    let scene =
        Scene::new("ordered: true, retry: 3, backoffPolicy: linear, backoffDelay: 10m, backoffMax: 1h", script).await;
    for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")] {
        scene.publish(event_of(id, key)).await;
    }
    scene.until(SECOND, |scene| scene.counters().delivered == 2).await;
    assert_eq!(scene.ids(), ["a1", "b1", "b2"], "other keys do not wait");
    scene.until(2 * HOUR, |scene| scene.counters().dead == 1).await;
    assert_eq!(scene.settled(SECOND).await.delivered, 4);
    assert_eq!(scene.ids(), ["a1", "b1", "b2", "a1", "a1", "a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_the_source_is_one() {
    let scene = Scene::slow("ordered: true", SECOND, |_, _| Ok(204)).await;
    for number in 0..5 {
        scene.publish(event(&number.to_string())).await;
    }
    scene.settled(MINUTE).await;
    let at: Vec<_> = scene.came().iter().map(|came| came.at.as_secs()).collect();
    assert!(at.windows(2).all(|two| two[1] > two[0]), "{at:?}");
    assert_eq!(scene.ids(), ["0", "1", "2", "3", "4"]);
}
