//! A function may do what it likes: the caller gets a code, the next call an answer, and the node goes on.

use weft_tests::{Project, eventually, manifest};

/// Small limits, so that each row is over soon.
const LIMITS: &str = "limits: { memory: 16Mi, cpu: 100ms, timeout: 700ms }";

#[tokio::test]
async fn what_a_function_does_wrong_has_a_code_and_harms_nobody_else() {
    let project = Project::new(&manifest::function("bad", "misbehave", LIMITS));
    let node = project.start().await;
    for (path, status, code) in [
        ("/trap", 502, "FN_TRAP"),
        ("/panic", 502, "FN_TRAP"),
        ("/exit", 502, "FN_BAD_RESPONSE"),
        ("/deep", 502, "FN_TRAP"),
        ("/resources", 502, "FN_TRAP"),
        ("/grow", 502, "FN_MEMORY"),
        ("/grow?mb=64", 502, "FN_MEMORY"),
        ("/loop", 504, "FN_CPU"),
        ("/sleep", 504, "FN_TIMEOUT"),
        ("/never-respond", 502, "FN_BAD_RESPONSE"),
    ] {
        let answer = node.get("bad", path).await;
        assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{path}: {}", answer.text());
        node.logged(&["weft::refused", code, answer.decision().unwrap()]).await;
        assert_eq!(node.get("bad", "/").await.text(), "ok\n", "after {path}");
        let labels = [("verb", "request"), ("target", "bad"), ("code", code)];
        assert!(node.scrape().await.sum("weft_calls_total", &labels) > 0, "{path}");
    }
    // Within its limits it may.
    assert_eq!(node.get("bad", "/grow?mb=4").await.body, 4_u64.to_le_bytes().as_slice());
    node.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_no_answer() {
    let project = Project::new(&manifest::function("bad", "misbehave", ""));
    let node = project.start().await;
    let answer = node.get("bad", "/big-headers").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(matches!(answer.code().as_deref(), Some("FN_TRAP" | "FN_BAD_RESPONSE")), "{}", answer.text());
    assert_eq!(node.get("bad", "/").await.text(), "ok\n");
}

#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_counted() {
    let project = Project::new(&manifest::function("bad", "misbehave", "limits: { cpu: 20s }"));
    let node = project.start().await;
    let answer = node.get("bad", "/log-flood?lines=20000").await;
    assert_eq!(answer.text(), "flooded\n", "a function is not stopped for talking");
    let labels = [("namespace", "default"), ("function", "bad")];
    let dropped = eventually("lines are dropped and counted", async || {
        let dropped = node.scrape().await.sum("weft_function_log_lines_dropped_total", &labels);
        let written = node.log_lines(&["weft::guest", "of a flood"]).len() as u64;
        (dropped + written == 20_000).then_some(dropped)
    })
    .await;
    assert!(dropped > 10_000, "only {dropped} lines were dropped");
    assert!(!node.log_lines(&["weft::guest", "default/bad", "line 0 of a flood"]).is_empty());
    assert!(!node.log_lines(&["lines dropped"]).is_empty());
}

#[tokio::test]
async fn what_a_function_says_is_in_the_log_with_its_name() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    assert_eq!(node.get("echo", "/?log=a-line-of-mine").await.status, 200);
    let line = node.logged(&["a-line-of-mine"]).await;
    assert!(line.contains("weft::guest") && line.contains("default/echo") && line.contains("echo-00001"), "{line}");
    // What a guest writes cannot become a line of somebody else's.
    assert_eq!(node.get("echo", "/?log=first%0Aweft::access%20forged%1b[2J").await.status, 200);
    node.logged(&["first"]).await;
    let forged = node.logged(&["weft::access forged"]).await;
    assert!(forged.contains("weft::guest") && !forged.contains('\u{1b}'), "{}", forged.escape_debug());
}
