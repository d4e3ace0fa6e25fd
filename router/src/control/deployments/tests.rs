//! Applies, all or nothing: what each leaves behind, and what a restart finds.

use bytes::Bytes;
use weft_eventlog::NewRecord;
use weft_functions::manifest::Kind;
use weft_functions::value::Namespaced;

use super::super::changelog::JOURNAL;
use super::super::desired::{Incoming, Scope};
use super::super::fixture::{FlakyLog, Plane, function, id, request, topic, trigger};
use super::super::modules::ModuleDigest;
use super::*;

fn name(text: &str) -> Namespaced {
    text.parse().expect("a name")
}

async fn records(log: &FlakyLog) -> usize {
    log.journal(JOURNAL).await.expect("a journal").read_all().await.expect("reads").entries.len()
}

async fn publish(plane: &Plane, topic: &str) {
    let view = plane.deployments.view();
    let record = NewRecord { body: Bytes::from_static(b"event"), ..NewRecord::default() };
    view.snapshot.topics[&name(topic)].log.append(vec![record]).await.expect("appended");
}

#[tokio::test]
async fn an_apply_is_one_record_and_one_snapshot() {
    let plane = Plane::new().await;
    let text = topic("orders") + &trigger("bill", "orders");
    let applied = plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
    assert_eq!((applied.snapshot, applied.dry_run, applied.changes.len()), (1, false, 2));
    assert_eq!(plane.in_force(), ["topic default/orders", "trigger default/bill"]);
    let again = plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
    assert_eq!(again.snapshot, 1);
    assert_eq!((records(&plane.log).await, plane.numbers()), (1, vec![1]), "what changes nothing leaves no trace");
    let before = plane.deployments.view();
    plane.deployments.apply(request(&topic("invoices"), Scope::Merge)).await.expect("applied");
    let after = plane.deployments.view();
    let (old, new) = (&before.snapshot.triggers[&name("bill")], &after.snapshot.triggers[&name("bill")]);
    assert!(Arc::ptr_eq(old, new), "what did not change is shared");
    assert_eq!(plane.numbers(), [1, 2]);
}

#[tokio::test]
async fn namespaces_and_issuers_are_shared_while_they_stay_the_same() {
    let namespace = |quota: u32| {
        format!(
            "---\napiVersion: weft.dev/v1alpha1\nkind: Namespace\nmetadata: {{ name: shop }}\n\
             spec: {{ quotas: {{ instances: {quota} }} }}\n"
        )
    };
    let issuer = |audience: &str| {
        format!(
            "---\napiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: corp }}\n\
             spec: {{ issuer: corp, audiences: [ {audience} ], jwksUri: 'https://id.example/keys' }}\n"
        )
    };
    let plane = Plane::new().await;
    let shop: weft_functions::value::Name = "shop".parse().expect("a name");
    let apply = async |text: String| {
        plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
        let snapshot = plane.deployments.view().snapshot.clone();
        (snapshot.namespaces[&shop].clone(), snapshot.issuers[0].clone())
    };
    let first = apply(namespace(1) + &issuer("weft")).await;
    let second = apply(topic("orders")).await;
    assert!(Arc::ptr_eq(&first.0, &second.0) && Arc::ptr_eq(&first.1, &second.1));
    let place = second.0.enter().expect("a place");
    let third = apply(namespace(2) + &issuer("other")).await;
    assert!(!Arc::ptr_eq(&second.0, &third.0) && !Arc::ptr_eq(&second.1, &third.1));
    assert_eq!(third.0.usage.calls(), 1, "what is used goes on");
    let more = third.0.enter().expect("a place");
    assert!(third.0.enter().is_err() && first.0.enter().is_err(), "all places are taken, whoever asks");
    drop((place, more));

    let clash = issuer("weft").replace("name: corp", "name: again");
    let error = plane.deployments.apply(request(&clash, Scope::Merge)).await.expect_err("two of one issuer");
    let ApplyError::Mistakes(problems) = &error else { panic!("{error}") };
    assert!(problems[0].message.starts_with("`corp` is described twice for namespace default"), "{problems:?}");
    let plane = plane.restarted().await;
    plane.deployments.restore().await;
    let view = plane.deployments.view();
    assert_eq!(view.snapshot.namespaces[&shop].resource.spec.quotas.instances, 2);
    assert_eq!(view.snapshot.issuers[0].spec.audiences, ["other"]);
}

#[tokio::test]
async fn a_dry_run_says_and_does_not() {
    let plane = Plane::new().await;
    let request = ApplyRequest { dry_run: true, ..request(&topic("orders"), Scope::Merge) };
    let applied = plane.deployments.apply(request).await.expect("planned");
    assert_eq!((applied.snapshot, applied.dry_run, applied.changes.len()), (0, true, 1));
    assert_eq!((plane.in_force().len(), records(&plane.log).await), (0, 0));
}

#[tokio::test]
async fn applies_wait_for_each_other_and_outlive_who_asked() {
    let plane = Plane::new().await;
    let (a, b) = (topic("a"), topic("b"));
    let (a, b) = tokio::join!(
        plane.deployments.apply(request(&a, Scope::Merge)),
        plane.deployments.apply(request(&b, Scope::Merge))
    );
    let mut numbers = [a.expect("applied").snapshot, b.expect("applied").snapshot];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    let c = topic("c");
    let asked = plane.deployments.apply(request(&c, Scope::Merge));
    // Polled once, then dropped: the caller has gone.
    assert!(futures_util::FutureExt::now_or_never(asked).is_none());
    plane.deployments.apply(request(&topic("d"), Scope::Merge)).await.expect("applied");
    assert_eq!(plane.in_force().len(), 4);
}

#[tokio::test]
async fn a_failed_record_changes_nothing_and_does_not_come_back() {
    let plane = Plane::new().await;
    plane.deployments.apply(request(&topic("orders"), Scope::Merge)).await.expect("applied");
    plane.log.fail(true);
    let bigger = topic("orders") + "spec: { retention: { size: 2Gi } }\n" + &topic("ghost");
    let error = plane.deployments.apply(request(&bigger, Scope::Merge)).await.expect_err("the disk failed");
    assert!(matches!(&error, ApplyError::Unavailable(why) if why.contains("on fire")), "{error}");
    assert_eq!(plane.in_force(), ["topic default/orders"]);
    let last = plane.log.opened.lock().expect("not poisoned").last().cloned();
    assert_eq!(last, Some(("default/orders".to_owned(), 1 << 30)), "the topic has its configuration back");
    assert_eq!(records(&plane.log).await, 2, "the record of the failed apply was stored all the same");
    plane.log.fail(false);
    plane.deployments.apply(request(&topic("invoices"), Scope::Merge)).await.expect("applied");
    let plane = plane.restarted().await;
    plane.deployments.restore().await;
    assert_eq!(plane.in_force(), ["topic default/invoices", "topic default/orders"]);
}

#[tokio::test]
async fn everything_comes_back_after_a_restart() {
    let plane = Plane::new().await;
    let text = topic("orders") + &trigger("bill", "orders");
    plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
    publish(&plane, "orders").await;
    let plane = plane.restarted().await;
    assert_eq!(plane.in_force(), [""; 0]);
    plane.deployments.restore().await;
    assert_eq!(plane.in_force(), ["topic default/orders", "trigger default/bill"]);
    assert_eq!(plane.numbers(), [1]);
    let view = plane.deployments.view();
    assert_eq!(view.snapshot.triggers[&name("bill")].consumer.counters().pending, 1, "its position was kept");
}

#[tokio::test]
async fn a_deleted_trigger_loses_its_position() {
    let plane = Plane::new().await;
    let text = topic("orders") + &trigger("bill", "orders");
    plane.deployments.apply(request(&text, Scope::Replace)).await.expect("applied");
    plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("applied");
    assert_eq!(plane.in_force(), ["topic default/orders"]);
    let gone = plane.log.delete_consumer("default/bill").await;
    assert!(matches!(gone, Err(weft_eventlog::LogError::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_trigger_that_moves_to_another_topic_begins_anew() {
    let plane = Plane::new().await;
    let topics = topic("orders") + &topic("returns");
    plane
        .deployments
        .apply(request(&(topics.clone() + &trigger("bill", "orders")), Scope::Merge))
        .await
        .expect("applied");
    publish(&plane, "orders").await;
    plane.deployments.apply(request(&(topics + &trigger("bill", "returns")), Scope::Merge)).await.expect("applied");
    let view = plane.deployments.view();
    let trigger = &view.snapshot.triggers[&name("bill")];
    assert_eq!((trigger.topic.to_string().as_str(), trigger.consumer.counters().accepted), ("default/returns", 0));
}

#[tokio::test]
async fn events_go_by_an_explicit_delete_only() {
    let plane = Plane::new().await;
    let next = |plane: &Plane| plane.deployments.view().snapshot.topics[&name("orders")].log.bounds().next.get();
    plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("applied");
    publish(&plane, "orders").await;
    plane.deployments.apply(request("# nothing\n", Scope::Replace)).await.expect("the file vanished");
    plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("and came back");
    assert_eq!(next(&plane), 2);
    let refused = plane.deployments.delete(id(Kind::Topic, "orders")).await.expect_err("a file owns it");
    assert_eq!(
        refused.to_string(),
        "topic default/orders belongs to app.yaml:2 of the watched folder: change it there"
    );

    plane.deployments.apply(request("# nothing\n", Scope::Replace)).await.expect("applied");
    plane.deployments.apply(request(&topic("orders"), Scope::Merge)).await.expect("applied");
    assert_eq!(next(&plane), 2);
    plane.deployments.delete(id(Kind::Topic, "orders")).await.expect("deleted");
    plane.deployments.apply(request(&topic("orders"), Scope::Merge)).await.expect("applied");
    assert_eq!(next(&plane), 1);
}

#[tokio::test]
async fn events_that_a_vanished_topic_left_can_be_deleted() {
    let plane = Plane::new().await;
    plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("applied");
    publish(&plane, "orders").await;
    plane.deployments.apply(request("# nothing\n", Scope::Replace)).await.expect("the file vanished");
    let deleted = plane.deployments.delete(id(Kind::Topic, "orders")).await.expect("its events are there");
    assert_eq!((deleted.snapshot, deleted.changes.len()), (2, 1));
    let nothing = plane.deployments.delete(id(Kind::Topic, "orders")).await.expect_err("they were");
    assert!(matches!(nothing, ApplyError::NotFound(_)), "{nothing}");
    plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("it came back");
    let view = plane.deployments.view();
    assert_eq!(view.snapshot.topics[&name("orders")].log.bounds().next.get(), 1);
}

#[tokio::test]
async fn what_a_crash_left_of_a_delete_is_finished_at_the_start() {
    let plane = Plane::new().await;
    let text = topic("orders") + &trigger("bill", "orders");
    plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
    // The record of the delete, and the crash right after it.
    let view = plane.deployments.view();
    let (mut changelog, _) = Changelog::open(plane.log.as_ref()).await.expect("opens");
    let plan = desired::plan_delete(&view.desired, &id(Kind::Trigger, "bill")).expect("a plan");
    changelog.append(&view.desired, &plan, 0).await.expect("appended");
    let plane = plane.restarted().await;
    plane.deployments.restore().await;
    assert_eq!(plane.in_force(), ["topic default/orders"]);
    assert!(plane.log.delete_consumer("default/bill").await.is_err(), "its position is gone");
}

#[tokio::test]
async fn a_function_that_cannot_be_restored_is_left_out_and_named() {
    let plane = Plane::new().await;
    let (mut changelog, replayed) = Changelog::open(plane.log.as_ref()).await.expect("opens");
    let resources = request(&(function("hello", "./hello.wasm") + &topic("orders")), Scope::Merge).files;
    let resources = weft_functions::manifest::parse(&resources).expect("valid");
    let module = |kind| (kind == Kind::Function).then(|| ModuleDigest::of(b"lost"));
    let incoming = resources.into_iter().map(|resource| Incoming { module: module(resource.kind()), resource });
    let plan = desired::plan(&replayed.desired, incoming.collect(), Scope::Merge).expect("a plan");
    changelog.append(&replayed.desired, &plan, 0).await.expect("appended");

    let plane = plane.restarted().await;
    plane.deployments.restore().await;
    assert_eq!(plane.in_force(), ["topic default/orders"]);
    let missing = plane.readiness.missing();
    assert!(missing.iter().any(|line| line.starts_with("function default/hello: ")), "{missing:?}");
    // It does not keep others from being deployed, and goes away with the function.
    plane.deployments.apply(request(&topic("invoices"), Scope::Merge)).await.expect("applied");
    assert_eq!(plane.deployments.view().lacking.len(), 1);
    plane.deployments.delete(id(Kind::Function, "hello")).await.expect("deleted");
    assert_eq!(plane.deployments.view().lacking.len(), 0);
}

#[tokio::test]
async fn mistakes_are_reported_together_at_their_lines() {
    let plane = Plane::new().await;
    let text = function("hello", "./hello.wasm") + &trigger("bill", "orders");
    let dir = plane.dir.path().to_owned();
    let request = ApplyRequest { modules: ModulesFrom::Folder(dir.clone()), ..request(&text, Scope::Replace) };
    let error = plane.deployments.apply(request.clone()).await.expect_err("mistakes");
    let ApplyError::Mistakes(problems) = &error else { panic!("{error:?}") };
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "app.yaml:6:11: module: ./hello.wasm: no such file; build it first");
    assert!(lines[1].starts_with("app.yaml:11:16: "), "{}", lines[1]);
    assert!(error.render(false).contains("./hello.wasm\n"), "with the line itself: {}", error.render(false));
}

#[tokio::test]
async fn a_bad_module_leaves_everything_as_it_was() {
    let plane = Plane::new().await;
    std::fs::write(plane.dir.path().join("hello.wasm"), b"no wasm").expect("written");
    let text = function("hello", "./hello.wasm") + &topic("orders");
    let modules = ModulesFrom::Folder(plane.dir.path().to_owned());
    let request = ApplyRequest { modules, ..request(&text, Scope::Replace) };
    let error = plane.deployments.apply(request).await.expect_err("a bad module");
    let ApplyError::Mistakes(problems) = &error else { panic!("{error:?}") };
    assert!(problems[0].to_string().starts_with("app.yaml:6:11: the module is not wasm"), "{error}");
    assert_eq!((plane.in_force().len(), records(&plane.log).await, plane.numbers().len()), (0, 0, 0));
    assert!(plane.modules.contains(ModuleDigest::of(b"no wasm")), "kept for a while, then swept");
}
