//! From zero to one and back, and what a person can see of it.

use futures_util::future::join_all;
use weft_tests::{Ask, Project, eventually, manifest};

const FUNCTION: [(&str, &str); 2] = [("namespace", "default"), ("function", "echo")];

#[tokio::test]
async fn a_function_comes_from_zero_and_goes_back() {
    let project = Project::new(&manifest::function("echo", "echo", "scale: { idle: 200ms }"));
    let node = project.start().await;
    let instances = async || node.scrape().await.value("weft_function_instances", &FUNCTION);
    assert_eq!(instances().await, Some(0.0), "a function that nobody called is at zero, and has its series");

    let call = node.ask(Ask::get("/?sleep=1000").host("echo.localhost"));
    let seen = eventually("an instance", async || instances().await.filter(|count| *count > 0.0));
    let (answer, seen) = tokio::join!(call, seen);
    assert_eq!((answer.status, seen), (200, 1.0));
    eventually("zero again", async || instances().await.filter(|count| *count == 0.0)).await;
    node.logged(&["weft::scale", "default/echo", "from=0 to=1"]).await;
    node.logged(&["weft::scale", "default/echo", "from=1 to=0"]).await;

    // The next answer comes from zero again, and says so nowhere but in the numbers.
    assert_eq!(node.get("echo", "/").await.status, 200);
    assert_eq!(node.function_count("echo", "coldStarts").await, 2);
    let scrape = node.scrape().await;
    for phase in ["queue", "load", "instantiate", "first_byte"] {
        assert_eq!(scrape.value("weft_cold_start_seconds_count", &[("phase", phase)]), Some(2.0), "{phase}");
    }
    let function = node.resource("function", "echo").await;
    let steps = function["status"]["lastScale"].as_array().cloned().unwrap();
    let steps: Vec<_> = steps.iter().map(|step| (step["from"].as_u64(), step["to"].as_u64())).collect();
    assert_eq!(steps.first(), Some(&(Some(0), Some(1))), "{function}");
    assert!(steps.contains(&(Some(1), Some(0))), "{function}");
}

#[tokio::test]
async fn many_callers_of_a_cold_function_wait_for_one_load() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let calls = (0..60).map(|number| {
        let ask = Ask::get(format!("/?number={number}")).host("echo.localhost");
        async { node.ask(ask).await }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(node.function_count("echo", "calls").await, 60);
    assert_eq!(node.function_count("echo", "coldStarts").await, 1);
}

#[tokio::test]
async fn what_does_not_fit_waits_and_what_may_not_wait_is_told_so() {
    let project = Project::new(&manifest::function("echo", "echo", "scale: { max: 1, queue: 1 }"));
    let node = project.start().await;
    let slow = || node.ask(Ask::get("/?sleep=1000").host("echo.localhost"));
    let status = async || node.resource("function", "echo").await["status"].clone();
    let third = async {
        eventually("one runs and one waits", async || {
            let status = status().await;
            (status["instances"] == 1 && status["queued"] == 1).then_some(())
        })
        .await;
        node.get("echo", "/").await
    };
    let (first, second, third) = tokio::join!(slow(), slow(), third);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!((third.status, third.code().as_deref()), (503, Some("LIMIT_QUEUE")));
    assert_eq!(third.header("retry-after"), Some("1"));
}
