//! What one call leaves behind for the next: nothing by default; with shared stores what is in the guest's memory, within the
//! same revision, until the store is recycled or something goes wrong in it.

use super::*;

/// Counts its calls in the first letter of what it says: `iello`, then `jello`.
const COUNT: &str = "(call $let-go (local.get $request))
    (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))";
const SAY: &str = "(call $begin (local.get $out)) (call $say) (call $end)";

/// A guest that counts, does this, and answers.
fn counting(and: &str) -> String {
    format!("{COUNT} {and} {SAY}")
}

/// Something that happens in the second call of a store.
fn second(what: &str) -> String {
    counting(&format!("(if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 106)) (then {what}))"))
}

fn shared(recycle: Recycle) -> impl FnOnce(&mut RevisionSpec) {
    move |spec| {
        spec.isolation = Isolation::Revision(recycle);
        spec.limits.cpu = Duration::from_millis(100);
    }
}

/// Waits until no call has a store: whoever waits for one finds it.
async fn settled(revision: &Revision) {
    eventually("every store is given back or dropped", || revision.stats().free == Scale::default().max).await;
}

/// The first letters of the answers to calls one after the other; `-` for one that fails.
async fn letters(revision: &Revision, calls: usize) -> String {
    let mut letters = String::new();
    for _ in 0..calls {
        let answer =
            call(revision).await.and_then(|body| body.map_err(|error| InvokeError::BadResponse(error.message)));
        letters.push(answer.map_or('-', |body| char::from(body[0])));
        settled(revision).await;
    }
    letters
}

#[tokio::test]
async fn nothing_is_left_behind_unless_a_function_asks_for_it() {
    let stage = Stage::new();
    let fresh = stage.deploy(&counting("")).await;
    assert_eq!(letters(&fresh, 3).await, "iii");
    assert_eq!(fresh.stats().instances, 1, "loaded, and no store");
    let warm = stage.deploy_with(&counting(""), shared(Recycle::default())).await;
    assert_eq!(letters(&warm, 3).await, "ijk");
}

#[tokio::test]
async fn what_is_left_behind_stays_within_the_revision() {
    let stage = Stage::new();
    let deploy = async |name: &'static str, function: &'static str| {
        stage
            .deploy_with(&counting(""), |spec| {
                shared(Recycle::default())(spec);
                spec.revision = name.into();
                spec.function.name = function.into();
            })
            .await
    };
    let first = deploy("hello-00001", "hello").await;
    assert_eq!(letters(&first, 2).await, "ij");
    let (second, other) = (deploy("hello-00002", "hello").await, deploy("other-00001", "other").await);
    assert_eq!((letters(&second, 2).await, letters(&other, 2).await), ("ij".to_owned(), "ij".to_owned()));
    assert_eq!(letters(&first, 1).await, "k");
}

#[tokio::test]
async fn two_calls_at_once_never_share_a_store() {
    let stage = Stage::new();
    let revision = stage.deploy_with(&counting("(call $sleep (i64.const 20))"), shared(Recycle::default())).await;
    assert_eq!(letters(&revision, 1).await, "i");
    let (one, other) = tokio::join!(call(&revision), call(&revision));
    let mut bodies = [one.unwrap().unwrap(), other.unwrap().unwrap()];
    bodies.sort();
    assert_eq!(bodies, ["iello", "jello"]);
}

#[tokio::test]
async fn a_store_in_which_something_went_wrong_is_dropped() {
    let stage = Stage::new();
    for (what, handle) in [
        ("it trapped", second("unreachable")),
        ("it used up its time", second("(call $spin)")),
        ("it was refused memory and trapped", second("(drop (memory.grow (i32.const 2000))) unreachable")),
        ("it gave no answer", second("return")),
        ("its body is unfinished", second("(call $begin (local.get $out)) (call $say) return")),
    ] {
        let revision = stage.deploy_with(&handle, shared(Recycle::default())).await;
        assert_eq!(letters(&revision, 4).await, "i-i-", "{what}");
    }
    // These answer well, and leave what the next caller must not find.
    let held = format!("(i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))) {SAY}");
    for (what, handle) in
        [("its request is still held", held), ("memory was refused", counting("(drop (memory.grow (i32.const 2000)))"))]
    {
        let revision = stage.deploy_with(&handle, shared(Recycle::default())).await;
        assert_eq!(letters(&revision, 3).await, "iii", "{what}");
    }
}

#[tokio::test]
async fn a_store_whose_caller_left_or_waited_too_long_is_dropped() {
    let stage = Stage::new();
    let slow = second("(call $sleep (i64.const 60000))");
    let left = stage.deploy_with(&slow, shared(Recycle::default())).await;
    assert_eq!(letters(&left, 1).await, "i");
    let gone = tokio::time::timeout(Duration::from_millis(30), call(&left)).await;
    assert!(gone.is_err(), "{gone:?}");
    settled(&left).await;
    assert_eq!(letters(&left, 1).await, "i");

    let late = stage
        .deploy_with(&slow, |spec| {
            shared(Recycle::default())(spec);
            spec.limits.timeout = Duration::from_millis(30);
        })
        .await;
    assert_eq!(letters(&late, 3).await, "i-i");
}

#[tokio::test]
async fn a_store_is_recycled_by_calls_age_and_memory() {
    let stage = Stage::new();
    let calls = stage.deploy_with(&counting(""), shared(Recycle { calls: 2, ..Recycle::default() })).await;
    assert_eq!(letters(&calls, 5).await, "ijiji");

    // A page is 64 KiB, and the guest begins with one.
    let memory = shared(Recycle { memory: 3 << 16, ..Recycle::default() });
    let memory = stage.deploy_with(&counting("(drop (memory.grow (i32.const 1)))"), memory).await;
    assert_eq!(letters(&memory, 5).await, "ijkij");

    let age = Duration::from_millis(200);
    let old = stage.deploy_with(&counting(""), shared(Recycle { age, ..Recycle::default() })).await;
    let born = Instant::now();
    assert_eq!(letters(&old, 1).await, "i");
    eventually("the store is old", || born.elapsed() > 2 * age).await;
    assert_eq!(letters(&old, 1).await, "i");
}

#[tokio::test]
async fn stores_that_wait_make_room_for_others_and_go_with_the_code() {
    let stage = Stage::new();
    let idle = |spec: &mut RevisionSpec| {
        shared(Recycle::default())(spec);
        spec.scale.idle = Duration::from_secs(60);
    };
    let greedy = stage.deploy_with(&counting("(call $sleep (i64.const 200))"), idle).await;
    let all = futures_util::future::join_all((0..config(stage.dir.path()).instances_max).map(|_| call(&greedy))).await;
    assert!(all.iter().all(Result::is_ok));
    settled(&greedy).await;
    assert_eq!(stage.runtime.stats().instances, 20, "every place of the node has a store that waits");
    let other = stage.deploy(HELLO).await;
    assert_eq!(call(&other).await.unwrap().unwrap(), "hello");
    eventually("the stores made room", || stage.runtime.stats().instances == 0).await;

    // Neither does a store wait that comes back while somebody waits for its place.
    let busy = futures_util::future::join_all((0..20).map(|_| call(&greedy)));
    let late = async {
        eventually("every place is taken", || stage.runtime.stats().instances == 20).await;
        call(&other).await
    };
    let (all, late) = tokio::join!(busy, late);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(late.unwrap().unwrap(), "hello");

    let short = |spec: &mut RevisionSpec| {
        shared(Recycle::default())(spec);
        spec.scale.idle = Duration::from_millis(20);
    };
    let short = stage.deploy_with(&counting(""), short).await;
    assert_eq!(letters(&short, 1).await, "i");
    eventually("the store goes with the code", || short.stats().instances == 0).await;
}
