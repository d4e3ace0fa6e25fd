//! One call each: what a guest may do, and what becomes of one that does too much.

use super::*;

#[tokio::test]
async fn a_guest_answers() {
    let stage = Stage::new();
    let revision = stage.deploy(HELLO).await;
    let response = revision.invoke(get()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    eventually("the store is dropped", || stage.runtime.stats().instances == 0).await;
    assert_eq!(revision.stats().traps, 0);
}

/// What a guest that fails before its head gets its caller.
#[track_caller]
fn check_failed(result: Result<Result<Bytes, BodyError>, InvokeError>, expect: &InvokeError) {
    assert_eq!(&result.unwrap_err(), expect);
}

#[tokio::test]
async fn a_guest_that_fails_before_its_head_is_named() {
    let stage = Stage::new();
    let trap = stage.deploy("unreachable").await;
    let error = call(&trap).await.unwrap_err();
    assert!(matches!(&error, InvokeError::Trap(text) if text.contains("unreachable")), "{error:?}");
    assert_eq!(error.code(), Some("FN_TRAP"));

    let silent = stage.deploy("").await;
    check_failed(call(&silent).await, &InvokeError::BadResponse("it returned without setting a response".to_owned()));

    let refused = "(call $set (local.get $out) (i32.const 1) (i32.const 36) (i32.const 0) (i64.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let error = call(&stage.deploy(refused).await).await.unwrap_err();
    assert!(matches!(&error, InvokeError::BadResponse(text) if text.contains("LoopDetected")), "{error:?}");

    let greedy = stage.deploy("(if (i32.eq (memory.grow (i32.const 200)) (i32.const -1)) (then unreachable))").await;
    check_failed(call(&greedy).await, &InvokeError::Memory);

    let deep = stage.deploy("(call $handle_again) ").await;
    let error = call(&deep).await.unwrap_err();
    assert!(matches!(&error, InvokeError::Trap(text) if text.contains("stack")), "{error:?}");

    let traps: u64 = [&trap, &greedy, &deep].iter().map(|revision| revision.stats().traps).sum();
    assert_eq!((traps, silent.stats().traps), (3, 0));
    eventually("all stores are dropped", || stage.runtime.stats().instances == 0).await;
}

#[tokio::test]
async fn a_guest_that_fails_in_its_body_never_ends_it_cleanly() {
    let stage = Stage::new();
    let begin = "(call $begin (local.get $out)) (call $say)";
    for (handle, words) in [
        (format!("{begin} unreachable"), "trapped"),
        (begin.to_owned(), "unfinished"),
        (format!("{begin} (call $close (global.get $s)) unreachable"), "trapped"),
        (format!("{begin} (call $spin)"), "processor time"),
    ] {
        let revision = stage.deploy_with(&handle, |spec| spec.limits.cpu = Duration::from_millis(100)).await;
        let mut body = revision.invoke(get()).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        let error = body.frame().await.expect("not a clean end").unwrap_err();
        assert_eq!(error.kind, BodyErrorKind::Guest);
        assert!(error.message.contains(words), "{error}");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped_and_others_are_served_meanwhile() {
    let stage = Stage::new();
    let cpu = |spec: &mut RevisionSpec| spec.limits.cpu = Duration::from_millis(300);
    let (spinning, hello) = (stage.deploy_with("(call $spin)", cpu).await, stage.deploy(HELLO).await);
    let spin = {
        let spinning = spinning.clone();
        tokio::spawn(async move { call(&spinning).await })
    };
    eventually("it spins", || spinning.stats().instances == 1 && spinning.stats().calls == 1).await;
    let mut served = 0;
    while !spin.is_finished() {
        assert_eq!(call(&hello).await.unwrap().unwrap(), "hello");
        served += 1;
    }
    check_failed(spin.await.unwrap(), &InvokeError::Cpu);
    assert!(served > 0, "this test has one thread: had the guest kept it, nothing else would have run");
    assert_eq!(spinning.stats().traps, 1);
}

#[tokio::test]
async fn a_guest_that_waits_too_long_is_cut_and_waiting_costs_no_processor_time() {
    let stage = Stage::new();
    let soon = Duration::from_millis(50);
    let sleepy = |change: fn(&mut Limits)| move |spec: &mut RevisionSpec| change(&mut spec.limits);

    let before =
        stage.deploy_with("(call $sleep (i64.const 60000))", sleepy(|l| l.timeout = Duration::from_millis(50)));
    check_failed(call(&before.await).await, &InvokeError::Timeout);

    let patient = stage.deploy("(call $sleep (i64.const 60000))").await;
    let hurried = patient.invoke(Invocation { deadline: Instant::now() + soon, ..get() }).await;
    assert_eq!(hurried.unwrap_err(), InvokeError::Timeout);

    let begin = "(call $begin (local.get $out)) (call $say)";
    let idle = stage
        .deploy_with(
            &format!("{begin} (call $sleep (i64.const 60000))"),
            sleepy(|l| l.idle = Duration::from_millis(50)),
        )
        .await;
    let error = call(&idle).await.unwrap().unwrap_err();
    assert_eq!(error.kind, BodyErrorKind::TimedOut);
    assert!(error.message.contains("limits.idle"), "{error}");

    let endless = format!("{begin} (loop $more (call $say) (call $sleep (i64.const 1)) (br $more))");
    let endless = stage.deploy_with(&endless, sleepy(|l| l.stream = Duration::from_millis(80))).await;
    let error = call(&endless).await.unwrap().unwrap_err();
    assert!(error.message.contains("limits.stream"), "{error}");

    let naps = format!("(call $sleep (i64.const 120)) {HELLO}");
    let naps = stage.deploy_with(&naps, sleepy(|l| l.cpu = Duration::from_millis(60))).await;
    assert_eq!(call(&naps).await.unwrap().unwrap(), "hello");
    eventually("all stores are dropped", || stage.runtime.stats().instances == 0).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_guest() {
    let stage = Stage::new();
    let waits = stage.deploy("(call $sleep (i64.const 60000))").await;
    let caller = {
        let waits = waits.clone();
        tokio::spawn(async move { call(&waits).await.is_ok() })
    };
    eventually("it runs", || stage.runtime.stats().instances == 1).await;
    caller.abort();
    eventually("the store is dropped", || stage.runtime.stats().instances == 0).await;

    let begun = stage.deploy("(call $begin (local.get $out)) (call $say) (call $sleep (i64.const 60000))").await;
    let mut body = begun.invoke(get()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(stage.runtime.stats().instances, 1);
    drop(body);
    eventually("the store is dropped", || stage.runtime.stats().instances == 0).await;
    assert_eq!((waits.stats().traps, begun.stats().traps), (0, 0), "going away is no trap");
}

#[tokio::test]
async fn a_guest_may_go_on_after_its_response() {
    let stage = Stage::new();
    let revision = stage.deploy(&format!("{HELLO} (call $sleep (i64.const 30)) (call $log)")).await;
    assert_eq!(call(&revision).await.unwrap().unwrap(), "hello");
    eventually("it went on", || stage.notes.all().contains(&"default/hello hello-00001 stdout: hello".to_owned()))
        .await;

    let limits = |spec: &mut RevisionSpec| spec.limits.idle = Duration::from_millis(50);
    let revision = stage.deploy_with(&format!("{HELLO} (call $sleep (i64.const 60000))"), limits).await;
    assert_eq!(call(&revision).await.unwrap().unwrap(), "hello");
    eventually("but not for long", || stage.runtime.stats().instances == 0).await;
}

#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_the_rest_is_counted() {
    let stage = Stage::new();
    let flood = "(local $i i32) (local.set $i (i32.const 500))
        (loop $more (call $log)
            (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))";
    let revision = stage.deploy(&format!("{flood} {HELLO}")).await;
    assert_eq!(call(&revision).await.unwrap().unwrap(), "hello");
    let dropped = |note: &String| note.strip_prefix("default/hello hello-00001 dropped ")?.parse::<usize>().ok();
    eventually("the drops are reported", || stage.notes.all().iter().any(|note| dropped(note).is_some())).await;
    let notes = stage.notes.all();
    let passed = notes.iter().filter(|note| note.ends_with("stdout: hello")).count();
    assert_eq!(passed + notes.iter().filter_map(dropped).sum::<usize>(), 500);
    assert!(passed <= 200, "{passed} passed in at most two windows of a second");
}

#[tokio::test]
async fn a_request_without_an_authority_is_the_callers_defect() {
    let stage = Stage::new();
    let revision = stage.deploy(HELLO).await;
    let mut nameless = get();
    nameless.request = Request::get("/").body(empty()).unwrap();
    assert!(matches!(revision.invoke(nameless).await, Err(InvokeError::BadRequest(_))));
    let mut hosted = get();
    hosted.request = Request::get("/").header("host", "hello.localhost:8080").body(empty()).unwrap();
    assert!(revision.invoke(hosted).await.is_ok());
}
