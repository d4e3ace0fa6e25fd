//! Many triggers on one topic: each gets what its filters say, and none waits for another.

use super::*;

/// Triggers that want events of the type `tN`, and the event numbers by type.
fn by_type(count: usize) -> Vec<(String, String)> {
    let more =
        |number| format!("filters: [ {{ exact: {{ type: t{number} }} }} ], url: 'http://sink.example/t{number}'");
    (0..count).map(|number| (format!("trigger-{number}"), more(number))).collect()
}

fn borrowed(triggers: &[(String, String)]) -> Vec<(&str, &str)> {
    triggers.iter().map(|(name, more)| (name.as_str(), more.as_str())).collect()
}

fn of_type(id: usize, ty: usize) -> Event {
    Event::builder().id(id.to_string()).source("/test").ty(format!("t{ty}")).build().expect("an event")
}

impl Scene {
    fn all(&self) -> Vec<Counters> {
        let all: Vec<_> = self.snapshot.triggers.values().map(|trigger| trigger.consumer.counters()).collect();
        all.iter().for_each(|one| assert_eq!(one.accepted, one.ended() + one.pending));
        all
    }

    async fn all_settled(&self, patience: Duration) -> Vec<Counters> {
        let end = Instant::now() + patience;
        while self.all().iter().any(|one| one.pending > 0) {
            assert!(Instant::now() < end, "not within {patience:?}: {:?}", self.all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.all()
    }
}

#[tokio::test(start_paused = true)]
async fn each_gets_what_it_wants_and_accounts_for_the_rest() {
    let triggers = by_type(200);
    let scene = Scene::of(&borrowed(&triggers), Duration::ZERO, |_, _| Ok(204)).await;
    for number in 0..600 {
        scene.publish(of_type(number, number % 200)).await;
    }
    let all = scene.all_settled(5 * SECOND).await;
    assert!(all.iter().all(|one| (one.delivered, one.filtered) == (3, 597)), "{all:?}");
    assert_eq!(scene.came().len(), 600);
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_nothing_holds_up_no_other_and_catches_up() {
    let triggers = by_type(20);
    let script = |_: usize, came: &Came| {
        if came.event.ty() == "t7" && came.at < HOUR { Err(Reason::UpConnect) } else { Ok(204) }
    };
    let scene = Scene::of(&borrowed(&triggers), Duration::ZERO, script).await;
    for number in 0..2_000 {
        scene.publish(of_type(number, number % 20)).await;
    }
    tokio::time::sleep(MINUTE).await;
    let pending: Vec<u64> = scene.all().iter().map(|one| one.pending).filter(|pending| *pending > 0).collect();
    assert_eq!(pending, [100], "the others have had theirs");
    let all = scene.all_settled(2 * HOUR).await;
    assert!(all.iter().all(|one| (one.delivered, one.filtered) == (100, 1_900)), "{all:?}");
}

/// The same events by the same filters, with a sorter and without.
#[tokio::test(start_paused = true)]
async fn sorting_changes_nothing_but_its_cost() {
    const FILTERS: [&str; 8] = [
        "",
        "{ exact: { type: t1 } }",
        "{ prefix: { type: t } }",
        "{ suffix: { type: '2' } }",
        "{ not: { exact: { type: t3 } } }",
        "{ any: [ { exact: { type: t4 } }, { suffix: { type: '5' } } ] }",
        "{ cesql: \"type = 't6' AND partitionkey = 'k'\" }",
        "{ cesql: \"type = 't6' OR INT(id) % 3 = 0\" }",
    ];
    let trigger = |number: usize| {
        let filters = FILTERS[number % FILTERS.len()];
        (format!("trigger-{number:02}"), format!("filters: [ {filters} ], url: 'http://sink.example/'"))
    };
    let mut counted = Vec::new();
    for count in [FILTERS.len(), 4 * FILTERS.len()] {
        let triggers: Vec<_> = (0..count).map(trigger).collect();
        assert_eq!(count >= sorter::SORTED_FROM, count > FILTERS.len());
        let scene = Scene::of(&borrowed(&triggers), Duration::ZERO, |_, _| Ok(204)).await;
        for number in 0..300 {
            let event = of_type(number, number % 9);
            let keyed = event.clone().with_extension("partitionkey", "k").expect("a key");
            scene.publish(if number.is_multiple_of(2) { keyed } else { event }).await;
        }
        counted.push(scene.all_settled(MINUTE).await);
    }
    let (without, with) = (&counted[0], &counted[1]);
    assert!(without.iter().all(|one| one.delivered > 0));
    for (at, one) in with.iter().enumerate() {
        assert_eq!(*one, without[at % FILTERS.len()], "{}", FILTERS[at % FILTERS.len()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_may_have_many_triggers_and_few_again() {
    let triggers = by_type(16);
    let scene = Scene::of(&borrowed(&triggers), Duration::ZERO, |_, _| Ok(204)).await;
    for number in 0..160 {
        scene.publish(of_type(number, number % 16)).await;
    }
    scene.all_settled(SECOND).await;
    let mut fewer = fixture::snapshot(2, Verdict::Allow, "");
    fewer.topics.clone_from(&scene.snapshot.topics);
    fewer.triggers =
        scene.snapshot.triggers.iter().take(15).map(|(name, trigger)| (name.clone(), trigger.clone())).collect();
    scene.deliveries.reconcile(&fewer);
    for number in 160..320 {
        scene.publish(of_type(number, number % 16)).await;
    }
    tokio::time::sleep(SECOND).await;
    let ended: Vec<_> = fewer.triggers.values().map(|trigger| trigger.consumer.counters()).collect();
    assert!(ended.iter().all(|one| (one.delivered, one.filtered, one.pending) == (20, 300, 0)), "{ended:?}");
    scene.deliveries.reconcile(&scene.snapshot);
    let all = scene.all_settled(SECOND).await;
    assert!(all.iter().all(|one| one.delivered == 20), "the sixteenth has caught up: {all:?}");
}
