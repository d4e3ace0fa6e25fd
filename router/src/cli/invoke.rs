//! `weft invoke`: a call to a function as any client makes it, and its answer as it comes.
//!
//! The body goes to standard output byte for byte while it arrives. What the mesh itself says (a refusal, a function
//! that failed) is said as an error with the next step instead: the two never mix.

use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::client::{Address, ClientError, DataCall, DataPlane, Problem, collect};
use super::failure::{FAILED, wrong};
use super::{Global, payload, terminal};

/// The header with which weft names its decision on a call.
const DECISION: &str = "x-weft-decision";

/// How long a function may take to begin its answer, and between two pieces of it. Longer than the node lets it (its
/// `limits` and the wait for a cold start are minutes at most), so that the node's answer, which knows the reason,
/// comes first.
const PATIENCE: Duration = Duration::from_mins(15);

/// The largest body that is read into memory: for `-o json`, where it becomes a string. A plain answer streams.
const JSON_BODY: usize = 64 << 20;

/// The largest problem document; the mesh's are a few hundred bytes.
const PROBLEM_BODY: usize = 64 << 10;

/// Headers that say how a message is framed or where it goes. They are made, not chosen.
const OURS: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];

/// `weft invoke NAME [PATH]`
#[derive(Debug, clap::Args)]
pub(super) struct InvokeArgs {
    /// The function's name, or NAMESPACE/NAME
    name: String,
    /// The path and query of the request
    #[arg(default_value = "/")]
    path: String,
    /// The method (default: GET, or POST with -d)
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A header of the request (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The body: as it is, from @FILE, or - for standard input
    #[arg(short, long, value_name = "DATA|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
    /// Print the status and headers before the body
    #[arg(short, long)]
    include: bool,
}

pub(super) async fn run(args: &InvokeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let function = global.target(&args.name)?;
    check_path(&args.path)?;
    let body = match &args.data {
        Some(data) => Some(payload::read(data).await?),
        None => None,
    };
    let plane = DataPlane::of(&global.client()?).await?;
    let call = DataCall {
        method: args.method.clone().unwrap_or(if body.is_some() { Method::POST } else { Method::GET }),
        host: plane.function_host(&function),
        path: args.path.clone(),
        headers: request_headers(&args.headers, body.as_deref()),
        body: body.unwrap_or_default(),
        patience: PATIENCE,
    };
    let response = plane.call(call).await?;
    if global.json() {
        print_json(response, plane.address()).await
    } else {
        print(response, args.include, plane.address()).await
    }
}

/// The path goes out byte for byte; whether it is a good one is the mesh's to say, unless it cannot be sent at all.
fn check_path(path: &str) -> anyhow::Result<()> {
    if !path.starts_with('/') {
        return Err(wrong(format!("{path:?} is not a path: write /{path}")));
    }
    match path.parse::<http::uri::PathAndQuery>() {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(format!("{path:?} cannot be sent: {error}; escape it, such as a space as %20"))),
    }
}

fn request_headers(typed: &[(HeaderName, HeaderValue)], body: Option<&[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in typed {
        headers.append(name.clone(), value.clone());
    }
    if let Some(body) = body {
        headers.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static(payload::media_type(body)));
    }
    headers
}

/// Reads `name: value`; an empty value is a value.
pub(super) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'name: value'")?;
    let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is not the name of a header"))?;
    if OURS.contains(&name) {
        return Err(format!("{name} follows from the command's other words and cannot be set"));
    }
    let value = HeaderValue::try_from(value.trim()).map_err(|_| format!("{name} has a value that cannot be sent"))?;
    Ok((name, value))
}

async fn print(response: Response<Incoming>, include: bool, address: &Address) -> anyhow::Result<ExitCode> {
    let (head, body) = response.into_parts();
    if include {
        terminal::write(&head_text(&head))?;
    }
    if head.status.is_success() {
        stream(body, address).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_problem(&head.headers) {
        let document = collect(body, PROBLEM_BODY, PATIENCE, address).await?;
        if let Some(problem) = Problem::read(&document).filter(|problem| problem.is_of(decision(&head.headers))) {
            return Err(ClientError::Refused(problem).into());
        }
        terminal::write(&document)?;
    } else {
        stream(body, address).await?;
    }
    // The function answered, and what it said is on standard output; only the exit code is ours.
    let decision = decision(&head.headers).map(|id| format!(" (decision {id})")).unwrap_or_default();
    terminal::complain(&format!("the function answered {}{decision}", head.status));
    Ok(ExitCode::from(FAILED))
}

async fn stream(mut body: Incoming, address: &Address) -> anyhow::Result<()> {
    let silent = |_elapsed| ClientError::TimedOut { address: address.clone(), patience: PATIENCE };
    while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(silent)? {
        let cut = |error: hyper::Error| ClientError::Interrupted { address: address.clone(), cause: error.to_string() };
        if let Ok(data) = frame.map_err(cut)?.into_data() {
            terminal::write(&data)?;
        }
    }
    Ok(())
}

async fn print_json(response: Response<Incoming>, address: &Address) -> anyhow::Result<ExitCode> {
    let (head, body) = response.into_parts();
    let body = collect(body, JSON_BODY, PATIENCE, address).await?;
    terminal::say_json(&answer_json(&head, &body))?;
    Ok(if head.status.is_success() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// `{status, headers, body|bodyBase64, decision}`
fn answer_json(head: &http::response::Parts, body: &Bytes) -> Value {
    let mut answer = Map::new();
    answer.insert("status".to_owned(), json!(head.status.as_u16()));
    answer.insert("headers".to_owned(), headers_json(&head.headers));
    match std::str::from_utf8(body) {
        Ok(text) => answer.insert("body".to_owned(), json!(text)),
        Err(_) => answer.insert("bodyBase64".to_owned(), json!(STANDARD.encode(body))),
    };
    answer.insert("decision".to_owned(), json!(decision(&head.headers)));
    Value::Object(answer)
}

/// A header that came once is a string, one that came several times (`set-cookie`) a list of them.
fn headers_json(headers: &HeaderMap) -> Value {
    let text = |value: &HeaderValue| Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned());
    let field = |name: &HeaderName| {
        let mut values: Vec<_> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        (name.to_string(), value)
    };
    Value::Object(headers.keys().map(field).collect())
}

/// The head as HTTP/1.1 writes it, with the line ends of a terminal.
fn head_text(head: &http::response::Parts) -> Vec<u8> {
    let mut text = format!("{:?} {}\n", head.version, head.status).into_bytes();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"))
}

fn decision(headers: &HeaderMap) -> Option<&str> {
    headers.get(DECISION)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::exit_code;

    #[test]
    fn a_header_is_a_name_a_colon_and_a_value() {
        let check = |text: &str, name: &str, value: &str| {
            let (found, found_value) = parse_header(text).unwrap();
            assert_eq!((found.as_str(), found_value.as_bytes()), (name, value.as_bytes()));
        };
        check("k: v", "k", "v");
        check("X-Trace:1:2", "x-trace", "1:2");
        check("accept:", "accept", "");
        check("x-name: größe", "x-name", "größe");
        for bad in ["no colon", ": v", "a b: v", "k: two\nlines", "Host: elsewhere", "content-length: 3"] {
            assert!(parse_header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_brings_its_type_unless_one_is_given() {
        let check = |typed: &[&str], body: Option<&[u8]>, expect: Option<&str>| {
            let typed: Vec<_> = typed.iter().map(|text| parse_header(text).unwrap()).collect();
            let headers = request_headers(&typed, body);
            assert_eq!(headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap()), expect);
        };
        check(&[], None, None);
        check(&[], Some(b"{}"), Some("application/json"));
        check(&[], Some(b"hello"), Some("text/plain"));
        check(&["Content-Type: text/csv"], Some(b"{}"), Some("text/csv"));
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        assert!(check_path("/").is_ok() && check_path("/a%20b?x=1&y").is_ok());
        for bad in ["users", "", "/a b"] {
            assert_eq!(exit_code(&check_path(bad).unwrap_err()), 2, "{bad}");
        }
    }

    #[test]
    fn an_answer_is_a_document_for_programs() {
        let check = |body: &[u8], key: &str, expect: Value| {
            let response = Response::builder()
                .header("x-weft-decision", "d-1")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2")
                .body(())
                .unwrap();
            let answer = answer_json(&response.into_parts().0, &Bytes::copy_from_slice(body));
            assert_eq!(answer["status"], 200);
            assert_eq!(answer["decision"], "d-1");
            assert_eq!(answer["headers"]["set-cookie"], json!(["a=1", "b=2"]));
            assert_eq!(answer[key], expect);
        };
        check(b"hello", "body", json!("hello"));
        check(&[0xff], "bodyBase64", json!("/w=="));
    }

    #[test]
    fn a_head_is_shown_as_it_is_written() {
        let head = Response::builder().status(404).header("a", "b").body(()).unwrap().into_parts().0;
        assert_eq!(String::from_utf8(head_text(&head)).unwrap(), "HTTP/1.1 404 Not Found\na: b\n\n");
    }
}
