//! From zero and back, and to an end: what happens around calls.

use super::*;

#[tokio::test]
async fn a_function_goes_from_zero_to_one_and_back() {
    let stage = Stage::new();
    let revision = stage.deploy_with(HELLO, |spec| spec.scale.idle = Duration::from_millis(30)).await;
    // All 100 places of `scale.max` are free.
    let nothing = RevisionStats { free: 100, ..RevisionStats::default() };
    assert_eq!(revision.stats(), nothing, "after a deploy there is nothing in memory");
    call(&revision).await.unwrap().unwrap();
    call(&revision).await.unwrap().unwrap();
    eventually("it is at zero", || !revision.stats().loaded).await;
    call(&revision).await.unwrap().unwrap();
    eventually("it is at zero", || !revision.stats().loaded).await;
    let stats = revision.stats();
    assert_eq!((stats.instances, stats.queued, stats.calls), (0, 0, 3));
    let cold = stage.notes.all().iter().filter(|note| note.ends_with("cold")).count();
    assert_eq!(u64::try_from(cold).unwrap(), stats.cold_starts);
    assert_eq!(
        stage.notes.all()[..2],
        ["default/hello hello-00001 0->1 a call came", "default/hello hello-00001 cold"]
    );
    assert_eq!(stage.notes.all().last().unwrap(), "default/hello hello-00001 1->0 idle");
}

#[tokio::test]
async fn a_burst_on_a_function_at_zero_is_one_load_and_no_more_than_max_at_once() {
    let stage = Stage::new();
    let nap = format!("(call $sleep (i64.const 5)) {HELLO}");
    let revision = stage.deploy_with(&nap, |spec| spec.scale.max = 4).await;
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let revision = revision.clone();
            tokio::spawn(async move { call(&revision).await })
        })
        .collect();
    let mut most = 0;
    while calls.iter().any(|call| !call.is_finished()) {
        most = most.max(stage.runtime.stats().instances);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().unwrap(), "hello");
    }
    assert!((1..=4).contains(&most), "{most}");
    assert_eq!(revision.stats().cold_starts, 1);
}

#[tokio::test]
async fn beyond_the_queue_calls_are_refused_at_once() {
    let stage = Stage::new();
    let scale = Scale { max: 1, queue: 1, ..Scale::default() };
    let revision = stage.deploy_with("(call $sleep (i64.const 60000))", |spec| spec.scale = scale).await;
    let start = |deadline| {
        let revision = revision.clone();
        tokio::spawn(async move { revision.invoke(Invocation { deadline, ..get() }).await.map(|_| ()) })
    };
    let first = start(Instant::now() + LONG);
    eventually("one runs", || revision.stats().calls == 1).await;
    let second = start(Instant::now() + Duration::from_millis(200));
    eventually("one waits", || revision.stats().queued == 1).await;
    assert_eq!(call(&revision).await.unwrap_err(), InvokeError::QueueFull);
    assert_eq!(second.await.unwrap().unwrap_err(), InvokeError::QueueTimeout);
    first.abort();
}

#[tokio::test]
async fn with_a_minimum_it_is_loaded_from_the_deploy_on() {
    let stage = Stage::new();
    let scale = Scale { min: 1, idle: Duration::ZERO, ..Scale::default() };
    let revision = stage.deploy_with(HELLO, |spec| spec.scale = scale).await;
    assert_eq!((revision.stats().instances, revision.stats().loaded), (1, true));
    call(&revision).await.unwrap().unwrap();
    assert_eq!(revision.stats().cold_starts, 0);
    revision.retire();
    eventually("it is at zero", || !revision.stats().loaded).await;
    assert_eq!(call(&revision).await.unwrap_err(), InvokeError::Retired);
}

#[tokio::test]
async fn after_a_restart_the_digest_is_enough() {
    let stage = Stage::new();
    let module = guest(HELLO);
    let digest = stage.runtime.deploy(spec(module.clone())).await.unwrap().digest();
    let stage = stage.restart();
    let mut again = spec(module);
    again.module = Module::Digest(digest);
    let revision = stage.runtime.deploy(again.clone()).await.unwrap();
    assert_eq!(revision.digest(), digest);
    assert_eq!(call(&revision).await.unwrap().unwrap(), "hello");

    assert!(!stage.runtime.forget(digest).await.unwrap(), "a revision needs it");
    drop(revision);
    eventually("it is forgotten", || stage.notes.all().last().unwrap().contains("1->0")).await;
    while !stage.runtime.forget(digest).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let error = stage.runtime.deploy(again).await.err().unwrap();
    assert!(matches!(error, DeployError::UnknownDigest { .. }), "{error}");
}

#[tokio::test]
async fn an_artifact_that_was_changed_is_not_loaded() {
    let stage = Stage::new();
    let revision = stage.deploy(HELLO).await;
    let artifact = std::fs::read_dir(stage.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .unwrap();
    let mut code = std::fs::read(&artifact).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::write(&artifact, code).unwrap();
    let error = call(&revision).await.unwrap_err();
    assert!(matches!(&error, InvokeError::LoadFailed(text) if text.contains("changed")), "{error:?}");

    // The bytes of the module make it good again.
    let revision = stage.deploy(HELLO).await;
    assert_eq!(call(&revision).await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_cuts_what_is_left() {
    let stage = Stage::new();
    let brief = stage.deploy(&format!("(call $sleep (i64.const 50)) {HELLO}")).await;
    let under_way = {
        let brief = brief.clone();
        tokio::spawn(async move { call(&brief).await })
    };
    eventually("it runs", || brief.stats().calls == 1).await;
    assert_eq!(stage.runtime.drain(Instant::now() + LONG).await, 0);
    assert_eq!(under_way.await.unwrap().unwrap().unwrap(), "hello");
    assert_eq!(call(&brief).await.unwrap_err(), InvokeError::Draining);
    assert!(matches!(stage.runtime.deploy(spec(guest(HELLO))).await, Err(DeployError::Draining)));

    let stage = Stage::new();
    let endless = stage.deploy("(call $sleep (i64.const 60000))").await;
    let under_way = {
        let endless = endless.clone();
        tokio::spawn(async move { call(&endless).await })
    };
    eventually("it runs", || endless.stats().calls == 1).await;
    assert_eq!(stage.runtime.drain(Instant::now() + Duration::from_millis(20)).await, 1);
    assert_eq!(under_way.await.unwrap().unwrap_err(), InvokeError::Cancelled);
    eventually("the store is dropped", || stage.runtime.stats().instances == 0).await;
}

#[tokio::test]
async fn a_runtime_can_be_dropped_inside_an_async_context_while_a_guest_spins() {
    let stage = Stage::new();
    let revision = stage.deploy("(call $spin)").await;
    let spinning = tokio::spawn(async move { call(&revision).await.is_err() });
    eventually("it spins", || stage.runtime.stats().instances == 1).await;
    spinning.abort();
    drop(stage);
}
