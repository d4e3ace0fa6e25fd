//! Which exit code a failure means, and the one place where a failure is said.
//!
//! Separate because every command ends here: a command returns an error with its whole sentence, and never prints it
//! itself.

use std::process::ExitCode;

use super::terminal;

/// The exit code of work that failed or that the mesh refused.
pub(super) const FAILED: u8 = 1;
/// The exit code of a command that was wrong as typed: an unknown flag, an unreadable file.
pub(super) const WRONG: u8 = 2;

/// The command was wrong as typed; nothing was asked of any node.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongCommand(String);

/// Whoever read our standard output has left. Success for a tool in a pipe, and never to be confused with a node
/// that hung up (also a "broken pipe").
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(super) struct OutputClosed;

/// An error that ends with exit code 2.
pub(super) fn wrong(message: impl Into<String>) -> anyhow::Error {
    WrongCommand(message.into()).into()
}

/// Says the failure once, on standard error, and answers its exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = exit_code(error);
    if code != 0 {
        terminal::complain(&sentence(error));
    }
    ExitCode::from(code)
}

/// The whole chain in one sentence. Errors that are also logged by themselves say their cause already; it is not said
/// twice.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.is_empty() {
            true => cause,
            false if said.contains(&cause) => said,
            false => format!("{said}: {cause}"),
        }
    })
}

/// The exit code that a failure means.
pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<OutputClosed>()) {
        0
    } else if error.chain().any(|cause| cause.is::<WrongCommand>()) {
        WRONG
    } else {
        FAILED
    }
}

/// What an operating system's error means, as part of a sentence: `connection refused`, without the number.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_failure_has_the_exit_code_of_its_deepest_meaning() {
        let check = |error: anyhow::Error, expect: u8| assert_eq!(exit_code(&error), expect, "{error:#}");
        check(wrong("no such flag"), 2);
        check(Err::<(), _>(wrong("no such file")).context("reading app.yaml").unwrap_err(), 2);
        check(anyhow::anyhow!("the mesh said no"), 1);
        check(OutputClosed.into(), 0);
        // A node that hangs up is a failure, although the operating system calls it a broken pipe too.
        check(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(), 1);
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot create /x: {source}")]
        struct Own {
            source: std::io::Error,
        }
        let own = || Own { source: std::io::Error::other("it is there") };
        assert_eq!(sentence(&own().into()), "cannot create /x: it is there");
        let wrapped = anyhow::Error::from(own()).context("cannot start");
        assert_eq!(sentence(&wrapped), "cannot start: cannot create /x: it is there");
    }

    #[test]
    fn a_reason_is_part_of_a_sentence() {
        let check = |error: std::io::Error, expect: &str| assert_eq!(reason(&error), expect);
        check(std::io::Error::from_raw_os_error(2), "no such file or directory");
        check(std::io::ErrorKind::ConnectionRefused.into(), "connection refused");
        check(std::io::Error::other(""), "");
    }
}
