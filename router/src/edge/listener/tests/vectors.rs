//! llhttp's request vectors through a real listener: what its strict parser refuses, we refuse; what it accepts, we accept,
//! but for the differences below, each with its reason. A difference that is not listed fails, and so does a listed one
//! that is none.

use std::path::PathBuf;

use super::*;

/// A case by file and title, and why we differ.
type Difference = (&'static str, &'static str, &'static str);

/// Where llhttp accepts and we refuse.
const STRICTER: &[Difference] = &[
    ("content-length", "Spaces in `Content-Length` (surrounding)", "one space before a framing value, none behind it"),
    ("content-length", "Tabs in `Content-Length` (surrounding)", "tabs make readers disagree about framing headers"),
    ("method", "SOURCE request with ICE", "not HTTP"),
    ("method", "OPTIONS request with RTSP", "not HTTP"),
    ("method", "ANNOUNCE request with RTSP", "not HTTP"),
    ("method", "PRI request HTTP2", "`PRI` with HTTP/1.1 is a request like any; what follows it is none"),
    ("transfer-encoding", "POST with `chunked` as last transfer-encoding", "we undo no coding but `chunked`"),
    (
        "transfer-encoding",
        "POST with `chunked` as last transfer-encoding (multiple headers)",
        "we undo no coding but `chunked`",
    ),
    ("uri", "Quotes in URI", "hyper's own refusal: backslashes are in no URI"),
    ("uri", "Fragment in URI", "fragments are never sent; hyper would cut them off in silence"),
];

/// Where llhttp refuses and we do not, and why nothing ambiguous comes of it.
const MORE_LENIENT: &[Difference] = &[
    ("invalid", "HTTP protocol and ANNOUNCE method", "any token is a method"),
    ("invalid", "Invalid method", "any token is a method"),
    ("connection", "No restart when keep-alive is off (1.0)", "what follows is never read"),
    ("connection", "CRLF between requests, explicit `close`", "what follows `close` is never read"),
    ("connection", "CRLF between requests, explicit `close` followed by tab", "what follows `close` is never read"),
];

struct Case {
    file: String,
    title: String,
    input: Vec<u8>,
    /// Messages that end before an error.
    complete: usize,
    refused: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Stricter,
    MoreLenient,
}

fn vectors() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/llhttp"));
    folder.is_dir().then_some(folder)
}

/// llhttp's own rules: an escaped line end is none, others are CRLF, and then escapes are read.
fn unescape(block: &str) -> Vec<u8> {
    let text = block.strip_suffix('\n').unwrap_or(block).replace("\\\n", "").replace('\n', "\r\n");
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t").replace("\\f", "\u{c}").into_bytes()
}

fn cases(file: &str, text: &str) -> Vec<Case> {
    let mut title = "";
    let mut cases = Vec::new();
    for section in text.split("<!-- meta=").collect::<Vec<_>>().windows(2) {
        title =
            section[0].lines().rev().find_map(|l| l.strip_prefix('#')).unwrap_or(title).trim_start_matches('#').trim();
        let (meta, rest) = section[1].split_once("-->").unwrap();
        // Lenient cases switch checks off; skipBody is told to the parser by its caller, not by the bytes.
        if meta.contains("lenient") || meta.contains("skipBody") {
            continue;
        }
        let block = |name: &str| Some(rest.split_once(&format!("```{name}\n"))?.1.split_once("```")?.0);
        let (input, log) = (block("http").unwrap(), block("log").unwrap());
        // 22 and 23 are pauses for another protocol: the message before them is accepted.
        let refused =
            log.lines().any(|l| l.contains("error code=") && !l.contains("code=22 ") && !l.contains("code=23 "));
        let complete = log.matches("message complete").count();
        cases.push(Case { file: file.to_owned(), title: title.to_owned(), input: unescape(input), complete, refused });
    }
    cases
}

/// Sends a case and compares. 408 says that we waited for the rest of the input: a refusal where llhttp refuses without it.
async fn judge(addr: SocketAddr, case: &Case) -> (Verdict, Vec<u16>) {
    let statuses = statuses(&exchange(addr, &case.input).await);
    let accepted = statuses.iter().filter(|s| **s == 200).count();
    let refused = statuses.iter().any(|s| *s != 200 && (*s != 408 || case.refused));
    let verdict = match (case.refused, refused) {
        (false, true) => Verdict::Stricter,
        (false, false) if accepted < case.complete => Verdict::Stricter,
        (true, false) => Verdict::MoreLenient,
        _ if accepted > case.complete => Verdict::MoreLenient,
        _ => Verdict::Same,
    };
    (verdict, statuses)
}

#[tokio::test]
async fn llhttp() {
    let Some(folder) = vectors() else {
        assert!(std::env::var_os("CI").is_none(), "../shared/vectors/llhttp is missing");
        eprintln!("skipped: ../shared/vectors/llhttp is missing");
        return;
    };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        all.extend(cases(&name, &std::fs::read_to_string(path).unwrap()));
    }
    let server = start(EdgeLimits { head: Duration::from_millis(500), ..quick() }, false).await;
    let judged = all.iter().map(|case| judge(server.addr, case));
    let judged = futures_util::future::join_all(judged).await;
    for (file, title, _) in STRICTER.iter().chain(MORE_LENIENT) {
        assert!(all.iter().any(|c| c.file == *file && c.title == *title), "no case {file} / {title}");
    }
    let mut unexpected = Vec::new();
    for (case, (verdict, statuses)) in all.iter().zip(judged) {
        let listed = |list: &[Difference]| list.iter().any(|(f, t, _)| *f == case.file && *t == case.title);
        let expect = match (listed(STRICTER), listed(MORE_LENIENT)) {
            (true, _) => Verdict::Stricter,
            (_, true) => Verdict::MoreLenient,
            _ => Verdict::Same,
        };
        if verdict != expect {
            let input = String::from_utf8_lossy(&case.input).into_owned();
            unexpected.push(format!("{} / {}: {verdict:?} {statuses:?} {input:?}", case.file, case.title));
        }
    }
    assert!(unexpected.is_empty(), "{} of {}:\n{}", unexpected.len(), all.len(), unexpected.join("\n"));
}
