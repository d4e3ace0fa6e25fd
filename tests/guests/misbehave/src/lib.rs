//! Does, on request, what a function must not do, so that tests can see that the host survives it. It stands on the
//! bare bindings, because the SDK would not let it. The path selects:
//!
//! `/trap` ends in a trap; `/panic` in a panic with a message; `/exit` calls exit; `/loop` never ends and never calls
//! the host; `/deep` overflows the stack; `/grow?mb=N` allocates N MiB and touches them (without N: until it fails);
//! `/resources` opens handles until the host stops it; `/never-respond` returns without an answer; `/sleep?ms=N` waits
//! before it answers (without N: an hour); `/stall` sends half a body and waits an hour; `/half-body-then-trap` and
//! `/half-body-then-return` send half a body and end so; `/wrong-length` promises 100 bytes and sends 5;
//! `/big-headers?count=N&bytes=M` answers with N headers of M bytes (10000 and 100); `/log-flood?lines=N` writes N
//! lines (100000); `/endless` sends a body that never ends. Everything else is a good answer: 200 `ok`.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

const HOUR_MS: u64 = 3_600_000;
const HALF: &[u8] = b"half ";

struct Misbehave;

wasip2::http::proxy::export!(Misbehave);

impl wasip2::exports::http::incoming_handler::Guest for Misbehave {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let done = match path {
            "/trap" => core::arch::wasm32::unreachable(),
            "/panic" => panic!("as it was asked to"),
            "/exit" => {
                wasip2::cli::exit::exit(Err(()));
                Ok(())
            }
            "/loop" => spin(),
            "/deep" => answer(out, &[], &deep(1).to_le_bytes(), End::Finish),
            "/grow" => answer(out, &[], &grow(number(query, "mb", u64::MAX)).to_le_bytes(), End::Finish),
            "/resources" => answer(out, &[], &open_handles().to_le_bytes(), End::Finish),
            "/never-respond" => Ok(()),
            "/sleep" => {
                sleep(number(query, "ms", HOUR_MS));
                answer(out, &[], b"slept\n", End::Finish)
            }
            "/stall" => answer(out, &[], HALF, End::Stall),
            "/half-body-then-trap" => answer(out, &[], HALF, End::Trap),
            "/half-body-then-return" => answer(out, &[], HALF, End::Return),
            "/wrong-length" => answer(out, &[("content-length".into(), b"100".to_vec())], HALF, End::Finish),
            "/big-headers" => answer(out, &many_headers(query), b"ok\n", End::Finish),
            "/log-flood" => {
                flood(number(query, "lines", 100_000));
                answer(out, &[], b"flooded\n", End::Finish)
            }
            "/endless" => answer(out, &[], HALF, End::Never),
            _ => answer(out, &[], b"ok\n", End::Finish),
        };
        if let Err(error) = done {
            line(&format!("misbehave: {error:?}\n"));
        }
    }
}

/// How a body ends.
#[derive(PartialEq)]
enum End {
    Finish,
    Return,
    Trap,
    Stall,
    Never,
}

fn answer(out: ResponseOutparam, headers: &[(String, Vec<u8>)], body: &[u8], end: End) -> Result<(), ErrorCode> {
    let internal = |what: &str| ErrorCode::InternalError(Some(what.to_owned()));
    let fields = Fields::from_list(headers).map_err(|error| internal(&error.to_string()))?;
    let response = OutgoingResponse::new(fields);
    let outgoing = response.body().map_err(|()| internal("no body"))?;
    ResponseOutparam::set(out, Ok(response));
    let stream = outgoing.write().map_err(|()| internal("no stream"))?;
    let write = || stream.blocking_write_and_flush(body).map_err(|error| internal(&error.to_string()));
    write()?;
    match end {
        End::Finish => {
            drop(stream);
            OutgoingBody::finish(outgoing, None)
        }
        End::Return => Ok(()),
        End::Trap => core::arch::wasm32::unreachable(),
        End::Stall => {
            sleep(HOUR_MS);
            Ok(())
        }
        End::Never => loop {
            write()?;
        },
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Recurses until the stack is full; `black_box` keeps it from becoming a loop.
fn deep(step: u64) -> u64 {
    let frame = black_box([step; 16]);
    if frame[0] == 0 { 0 } else { deep(frame[0] + 1).wrapping_add(black_box(frame[15])) }
}

/// Allocates and touches that many MiB; gives how many there were.
fn grow(mebibytes: u64) -> u64 {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebibytes {
        kept.push(black_box(vec![1; 1024 * 1024]));
    }
    black_box(&kept).len() as u64
}

/// Handles that are kept open; a host limits its table. A million is more than any limit worth having.
fn open_handles() -> u64 {
    let kept: Vec<Fields> = (0..1_000_000).map(|_| Fields::new()).collect();
    black_box(&kept).len() as u64
}

fn many_headers(query: &str) -> Vec<(String, Vec<u8>)> {
    let value = vec![b'v'; usize::try_from(number(query, "bytes", 100)).unwrap_or(usize::MAX)];
    (0..number(query, "count", 10_000)).map(|n| (format!("x-big-{n}"), value.clone())).collect()
}

fn flood(lines: u64) {
    (0..lines).for_each(|n| line(&format!("line {n} of a flood\n")));
}

fn line(text: &str) {
    // A log that is cut off is what some tests look for; there is nobody to tell.
    let _ = wasip2::cli::stderr::get_stderr().blocking_write_and_flush(text.as_bytes());
}

fn sleep(millis: u64) {
    subscribe_duration(millis.saturating_mul(1_000_000)).block();
}

fn number(query: &str, name: &str, default: u64) -> u64 {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
}
