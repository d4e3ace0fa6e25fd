//! What is deployed, by whom, and how it changes: the command line, the watched folder and the node between them.

mod commands;
mod modules;
mod ownership;
mod reload;

use weft_tests::Node;
use weft_tests::cli::Run;

/// The path of a module of the tests, as a word of a command.
fn module(guest: &str) -> String {
    weft_tests::modules::guest(guest).display().to_string()
}

/// Runs a command that must fail with these words on standard error, and nothing on standard output.
async fn refused(node: &Node, words: &[&str], code: i32, expect: &[&str]) -> Run {
    let run = node.weft(words).await;
    assert_eq!(run.code, code, "{words:?}: {run:?}");
    for text in expect {
        assert!(run.stderr.contains(text), "{words:?} does not say {text:?}: {run:?}");
    }
    assert_eq!(run.stdout, "", "{words:?}");
    run
}

/// The revision of a function that serves now.
async fn revision(node: &Node, function: &str) -> String {
    let resource = node.resource("function", function).await;
    resource["status"]["revision"].as_str().expect("a revision").to_owned()
}
