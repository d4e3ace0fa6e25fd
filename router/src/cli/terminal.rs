//! What a terminal is to us: results on standard output, the rest on standard error, colour and motion only for eyes.
//!
//! Separate because three rules hold for every command and are easily forgotten in one: bytes that came from outside
//! (events, error texts) are never printed raw to a person, a closed output is no failure, and nothing moves unless
//! someone can see it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use owo_colors::OwoColorize;

use super::failure::OutputClosed;

/// Work that takes longer than this shows that it goes on. A second: below that a spinner is only flicker.
const QUIET: Duration = Duration::from_secs(1);

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(120);

#[cfg(not(test))]
fn stdout() -> impl Write {
    std::io::stdout().lock()
}

#[cfg(not(test))]
fn stderr() -> impl Write {
    std::io::stderr().lock()
}

/// Whether colours reach eyes on standard error.
#[cfg(not(test))]
pub(super) fn colour_of_errors() -> bool {
    colour(&std::io::stderr())
}

/// Whether colours reach eyes on standard output.
#[cfg(not(test))]
pub(super) fn colour_of_results() -> bool {
    colour(&std::io::stdout())
}

#[cfg(test)]
pub(super) use captured::{colour_of_errors, colour_of_results};
#[cfg(test)]
use captured::{stderr, stdout};

/// Writes a result to standard output as it is.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => anyhow::Error::from(OutputClosed),
        _ => anyhow::Error::from(error).context("cannot write to standard output"),
    })
}

/// Writes a line of a result to standard output.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    write(format!("{line}\n").as_bytes())
}

/// Writes a JSON result to standard output: indented, it is read by people too.
pub(super) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Says on standard error what went wrong. Failing to say it is not worth a second failure.
pub(super) fn complain(message: &str) {
    if colour_of_errors() {
        note(&format!("{} {message}", "error:".red().bold()));
    } else {
        note(&format!("error: {message}"));
    }
}

/// Says something beside the result on standard error.
pub(super) fn note(line: &str) {
    let _unheard = writeln!(stderr(), "{line}");
}

/// Whether colours reach eyes on this stream: a terminal, and nobody asked for none (NO_COLOR, see no-color.org).
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !refused && !dumb
}

/// The columns of the terminal that standard output goes to; `None` when it goes elsewhere.
pub(super) fn width() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

/// Text from outside, made fit for a terminal: control characters (escape sequences, line ends, direction overrides)
/// are shown instead of obeyed.
pub(super) fn harmless(text: &str) -> String {
    let obeyed = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if obeyed(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// The same for text of several lines, such as a snippet: line ends stay line ends.
pub(super) fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// The beginning of a text that fits into `width` characters, with `…` where more was.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Awaits work and, on a terminal, shows after a second that it goes on: `⠙ compiling hello … 3 s`.
pub(super) async fn with_spinner<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(QUIET, &mut work).await {
        return done;
    }
    let spinner = Spinner::start(what);
    let done = work.await;
    drop(spinner);
    done
}

/// A turning line on standard error that leaves no trace when dropped, also when Ctrl-C drops it.
struct Spinner(ProgressBar);

impl Spinner {
    fn start(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_elapsed(QUIET).with_message(what.to_owned());
        // The template is ours and constant; were it wrong, indicatif's own would do.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {seconds} s") {
            bar.set_style(style.with_key("seconds", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _cannot_fail = write!(out, "{}", state.elapsed().as_secs());
            }));
        }
        bar.enable_steady_tick(TURN);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Standard output and error of the thread that runs a test: a command prints whole results, and those are its feature.
#[cfg(test)]
pub(super) mod captured {
    use std::cell::RefCell;
    use std::io::Write;

    thread_local! {
        static STDOUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        static STDERR: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Takes what was written since the last time: standard output, standard error.
    pub(in crate::cli) fn take() -> (String, String) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(STDOUT.take()), text(STDERR.take()))
    }

    pub(super) fn stdout() -> impl Write {
        Captured(&STDOUT)
    }

    pub(super) fn stderr() -> impl Write {
        Captured(&STDERR)
    }

    /// What is captured is never a terminal, wherever the tests run.
    pub(in crate::cli) fn colour_of_errors() -> bool {
        super::colour(&std::fs::File::open("/dev/null").unwrap())
    }

    pub(in crate::cli) fn colour_of_results() -> bool {
        colour_of_errors()
    }

    struct Captured(&'static std::thread::LocalKey<RefCell<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.with_borrow_mut(|written| written.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_a_terminal() {
        let check = |text: &str, expect: &str| assert_eq!(harmless(text), expect);
        check("order.created", "order.created");
        check("größe ✓", "größe ✓");
        check("\u{1b}[2Jgone", "\\u{1b}[2Jgone");
        check("two\nlines\r", "two\\nlines\\r");
        check("\u{202e}txt.exe", "\\u{202e}txt.exe");
        assert_eq!(harmless_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        let check = |text: &str, width: usize, expect: &str| assert_eq!(fit(text, width), expect);
        check("short", 5, "short");
        check("longer", 5, "long…");
        check("größer", 4, "grö…");
        check("x", 0, "…");
    }
}
