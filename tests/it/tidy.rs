//! Rules that a machine keeps, so that no reviewer has to: who may depend on whom, what a file looks like, which words have
//! no place in a room, and that tables say what the code says. Every message says what to do.

mod readme;
mod source;

use std::collections::BTreeSet;

use self::source::{Source, crates, sources};

/// Longest file in lines. Longer ones are two.
const FILE_LINES: usize = 500;

/// Names that say nothing about what a module decides.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helpers", "types", "core", "manager", "service"];

/// Crates of ours, by folder, and which others each may depend on: router → runtime → functions, and nothing upwards.
const ARROWS: [(&str, &[&str]); 6] = [
    ("functions", &[]),
    ("functions/sdk", &[]),
    ("runtime", &["weft-functions"]),
    ("router/eventlog", &[]),
    ("router", &["weft-eventlog", "weft-functions", "weft-runtime"]),
    // The event log is one of the benchmarks' baselines; the tests themselves see the binary alone.
    ("tests", &["weft-eventlog"]),
];

/// Rooms, and the crates and names that are none of their business (design, section 1).
const FORBIDDEN: [(&str, &[&str]); 8] = [
    ("functions/src", &["hyper", "wasmtime", "rustls", "tokio", "weft_eventlog", "weft_runtime", "weft_router"]),
    ("functions/sdk/src", &["hyper", "wasmtime", "tokio", "weft_functions", "weft_runtime", "weft_router"]),
    ("runtime/src", &["rustls", "axum", "weft_eventlog", "weft_router", "Principal", "Topic", "Trigger"]),
    ("router/eventlog/src", &["http", "hyper", "axum", "cloudevents", "weft_functions", "weft_runtime", "weft_router"]),
    ("router/src", &["wasmtime", "wasmtime_wasi", "wasmtime_wasi_http", "wasmparser"]),
    ("router/src/path", &["edge", "delivery", "control", "cli", "axum", "rustls"]),
    ("router/src/targets", &["edge", "delivery", "control", "cli", "axum"]),
    ("tests/it", &["weft_functions", "weft_runtime", "weft_router"]),
];

/// Calls with an effect, and the only files that may make them (design, invariant 2).
const EFFECTS: [(&str, &str, &[&str]); 3] = [
    (".invoke(", "starting a function takes a permit", &["router/src/targets/backend.rs"]),
    (
        ".append(",
        "appending to a topic takes a permit",
        &[
            "router/src/targets/topics.rs",
            // The change log of desired state is a journal and no topic.
            "router/src/control/changelog.rs",
            "router/src/control/deployments.rs",
            // The journals of refusals, of jobs and of filters are such, too.
            "router/src/control/refusals.rs",
            "router/src/control/jobs.rs",
            "router/src/control/generations.rs",
            // Headers of a request, not events.
            "router/src/cli/invoke.rs",
            "router/src/control/admin/explain.rs",
            "router/src/path/policy/encoding/decode.rs",
        ],
    ),
    (".lease(", "only delivery consumes a topic", &["router/src/delivery/lane.rs", "router/src/delivery/worker.rs"]),
];

/// Fails with every complaint at once.
#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn crates_depend_downwards_only() {
    let mut complaints = Vec::new();
    for (folder, allowed) in ARROWS {
        for name in source::dependencies(folder) {
            if name.starts_with("weft-") && !allowed.contains(&name.as_str()) {
                complaints.push(format!(
                    "{folder}/Cargo.toml depends on {name}: dependencies go router → runtime → functions; move what \
                     is needed down, or hand it in as a value or trait"
                ));
            }
        }
    }
    let known: BTreeSet<_> = ARROWS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    for folder in crates().difference(&known) {
        complaints.push(format!("{folder} is a crate that tidy does not know: say in ARROWS what it may depend on"));
    }
    none(complaints);
}

#[test]
fn no_room_knows_what_is_not_its_business() {
    let mut complaints = Vec::new();
    for (room, words) in FORBIDDEN {
        for file in sources().iter().filter(|file| file.is_in(room)) {
            for (line, word) in file.words() {
                if words.contains(&word.as_str()) {
                    complaints.push(format!(
                        "{}:{line}: `{word}` has no place in {room}: see the table of rooms in README.md",
                        file.path
                    ));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn effects_happen_in_one_place_each() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.is_in("router/src") && !file.is_test()) {
        for (call, why, places) in EFFECTS {
            for line in file.lines_with(call) {
                if !places.contains(&file.path.as_str()) {
                    complaints.push(format!(
                        "{}:{line}: `{call}` is called here, but {why}: go through path::pipeline, or list the file \
                         in tidy's EFFECTS with its reason",
                        file.path
                    ));
                }
            }
        }
    }
    none(complaints);
}

/// What a benchmark may put in the place of functions, nothing that a user types may: only the composition names it.
#[test]
fn only_the_benchmark_answers_without_a_function() {
    let known = ["router/src/targets/backend.rs", "router/benches/after_permit.rs"];
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !known.contains(&file.path.as_str())) {
        for line in file.lines_with("Backend::Text") {
            complaints.push(format!("{}:{line}: `Backend::Text` is for the benchmark's own node alone", file.path));
        }
    }
    for path in known {
        assert!(sources().iter().any(|file| file.path == path), "{path} is not read");
    }
    none(complaints);
}

#[test]
fn files_say_what_they_decide_and_are_short() {
    let mut complaints = Vec::new();
    for file in sources() {
        let path = &file.path;
        // A crate's first page is its README.
        let headed = file.text.starts_with("//! ") || file.text.starts_with("#![doc = include_str!(");
        if !headed {
            complaints
                .push(format!("{path}: begin with `//!`: what the file decides or holds, and why it is separate"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            complaints.push(format!("{path} has {lines} lines, at most {FILE_LINES} are allowed: split it"));
        }
        let module = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        if module == "mod" {
            complaints.push(format!("{path}: write foo.rs beside foo/ instead of foo/mod.rs"));
        }
        if EMPTY_NAMES.contains(&module) {
            complaints.push(format!("{path}: name the module after what it decides"));
        }
    }
    none(complaints);
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_skipped() {
    // Written apart, so that this file does not find itself.
    let words = [
        (["todo", "!("].concat(), "do it, or leave it out"),
        (["unimplemented", "!("].concat(), "do it, or leave it out"),
        (["dbg", "!("].concat(), "remove it"),
        (["#[", "ignore"].concat(), "a test that cannot run fails; delete it or mend it"),
        (["FIX", "ME"].concat(), "mend it"),
        (["XX", "X"].concat(), "mend it"),
    ];
    let mut complaints = Vec::new();
    for file in sources() {
        for (word, what) in &words {
            for line in file.lines_with(word) {
                complaints.push(format!("{}:{line}: `{word}`: {what}", file.path));
            }
        }
    }
    none(complaints);
}

#[test]
fn time_enters_through_one_door() {
    let clocks = [
        "router/eventlog/src/clock.rs",
        // A guest's clock, and what stands in for it in its author's unit tests.
        "functions/sdk/src/host/wasi.rs",
        "functions/sdk/src/host/local.rs",
    ];
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !clocks.contains(&file.path.as_str())) {
        for clock in ["SystemTime::now(", "std::time::Instant", "OffsetDateTime::now_utc("] {
            for line in file.lines_with(clock) {
                complaints.push(format!(
                    "{}:{line}: `{clock}`: take the time from weft_eventlog::Clock, or use tokio::time::Instant, which \
                     tests can pause",
                    file.path
                ));
            }
        }
    }
    none(complaints);
}

#[test]
fn unsafe_code_is_in_two_known_files() {
    // Loading code that this machine compiled itself; the baseline of the benchmarks does the same.
    let known = ["runtime/src/load.rs", "tests/benches/baseline.rs"];
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !known.contains(&file.path.as_str())) {
        for (line, word) in file.words() {
            if word == "unsafe" {
                complaints.push(format!("{}:{line}: `unsafe` belongs into {} alone", file.path, known[0]));
            }
        }
    }
    none(complaints);
}

/// The rules above are worth what the reader behind them is worth.
#[test]
fn text_is_no_code() {
    let text = "//! wasmtime\n/* hyper */ fn a() { b(\"wasmtime \\\" hyper\"); } // rustls\nlet c = 'x'; r#\"tokio\"# d;\n'a: axum";
    let file = Source::new("a.rs", text);
    let words: Vec<_> = file.words().collect();
    let expect = [(2, "fn"), (2, "a"), (2, "b"), (3, "let"), (3, "c"), (3, "d"), (4, "a"), (4, "axum")];
    assert_eq!(words, expect.map(|(line, word)| (line, word.to_owned())));
    assert_eq!(file.lines_with("b(").collect::<Vec<_>>(), [2]);
    assert!(sources().len() > 200, "only {} files were read", sources().len());
}
