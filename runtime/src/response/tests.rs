//! Heads that cannot be passed on, and every way a body can end, with the writer of a guest's body and no guest.

use http_body_util::Empty;
use tokio::sync::oneshot::error::TryRecvError;
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

use super::*;

fn no_body() -> HyperOutgoingBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Builder {
    headers.iter().fold(Response::builder().status(status), |head, (name, value)| head.header(*name, *value))
}

/// A response with a body that the test writes.
struct Written {
    response: Response<Body>,
    guest: HostOutgoingBody,
    finished: oneshot::Receiver<()>,
    ending: Ending,
}

fn written(method: &Method, status: u16, headers: &[(&str, &str)]) -> Written {
    let (guest, body) = HostOutgoingBody::new(StreamContext::Response, None, 4, 1024);
    let (finish, finished) = oneshot::channel();
    let ending = Ending::default();
    let response = head(status, headers).body(body).unwrap();
    let response = respond(method, response, &Limits::default(), finish, ending.clone()).unwrap();
    Written { response, guest, finished, ending }
}

impl Written {
    /// Writes these bytes and finishes the body.
    fn writes(&mut self, chunks: &[&'static str]) {
        let (nothing, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
        let mut guest = std::mem::replace(&mut self.guest, nothing);
        let mut stream = guest.take_output_stream().unwrap();
        for chunk in chunks {
            stream.write(Bytes::from_static(chunk.as_bytes())).unwrap();
        }
        drop(stream);
        guest.finish(None).unwrap();
    }

    async fn read(self) -> (Result<Bytes, BodyError>, oneshot::Receiver<()>) {
        (self.response.into_body().collect().await.map(http_body_util::Collected::to_bytes), self.finished)
    }
}

#[track_caller]
fn check_refused(status: u16, headers: &[(&str, &str)], words: &str) {
    let (finish, mut finished) = oneshot::channel();
    let response = head(status, headers).body(no_body()).unwrap();
    let result = respond(&Method::GET, response, &Limits::default(), finish, Ending::default());
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
    assert_eq!(finished.try_recv(), Err(TryRecvError::Closed), "the guest is ended");
}

#[test]
fn heads_that_cannot_be_passed_on_are_refused() {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        check_refused(101, &[], "101");
        check_refused(103, &[], "103");
        check_refused(200, &[("content-length", "5")], "announces 5 bytes and has no body");
        check_refused(200, &[("content-length", "+5")], "content-length");
        check_refused(200, &[("content-length", "99999999999999999999")], "content-length");
    });
}

#[tokio::test]
async fn a_complete_body_ends_cleanly_and_the_guest_may_tidy_up() {
    let mut whole = written(&Method::GET, 200, &[("content-length", "10"), ("connection", "x-a"), ("x-a", "1")]);
    whole.writes(&["hello", "world"]);
    assert_eq!(whole.response.headers().len(), 1, "{:?}", whole.response.headers());
    let (body, mut finished) = whole.read().await;
    assert_eq!(body.unwrap(), "helloworld");
    assert_eq!(finished.try_recv(), Ok(()));
}

#[tokio::test]
async fn more_or_less_than_announced_is_an_error() {
    for (announced, kind) in [("7", BodyErrorKind::TooLarge), ("12", BodyErrorKind::Guest)] {
        let mut wrong = written(&Method::GET, 200, &[("content-length", announced)]);
        wrong.writes(&["hello", "world"]);
        let (body, mut finished) = wrong.read().await;
        assert_eq!(body.unwrap_err().kind, kind);
        assert_eq!(finished.try_recv(), Err(TryRecvError::Closed));
    }
}

#[tokio::test]
async fn an_unfinished_body_says_why_the_guest_ended() {
    let cut = written(&Method::GET, 200, &[]);
    cut.ending.set(BodyError::new(BodyErrorKind::Guest, "it trapped")).unwrap();
    let Written { response, guest, .. } = cut;
    guest.abort();
    assert_eq!(response.into_body().collect().await.unwrap_err().message, "it trapped");

    let Written { response, guest, .. } = written(&Method::GET, 200, &[]);
    guest.abort();
    assert!(response.into_body().collect().await.unwrap_err().message.contains("unfinished"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_guest_is_cut() {
    let silent = written(&Method::GET, 200, &[]);
    let start = Instant::now();
    let (response, _guest) = (silent.response, silent.guest);
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!((error.kind, start.elapsed().as_secs()), (BodyErrorKind::TimedOut, Limits::default().idle.as_secs()));
}

#[tokio::test]
async fn responses_without_a_body_have_none_whatever_the_guest_writes() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let mut none = written(&method, status, &[("content-length", "5")]);
        none.writes(&["hello"]);
        assert_eq!(none.response.headers().contains_key("content-length"), status != 204);
        let (body, mut finished) = none.read().await;
        assert_eq!(body.unwrap(), "");
        assert_eq!(finished.try_recv(), Ok(()));
    }
}

/// Servers drop a body unread when they need nothing more of it: that must not end the guest.
#[tokio::test]
async fn a_drop_ends_the_guest_unless_the_response_was_complete() {
    let Written { response, mut finished, .. } = written(&Method::HEAD, 200, &[]);
    drop(response);
    assert_eq!(finished.try_recv(), Ok(()));

    let mut sent = written(&Method::GET, 200, &[("content-length", "5")]);
    sent.writes(&["hello"]);
    let (mut body, mut finished) = (sent.response.into_body(), sent.finished);
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(finished.try_recv(), Ok(()));

    let Written { response, mut finished, .. } = written(&Method::GET, 200, &[]);
    drop(response);
    assert_eq!(finished.try_recv(), Err(TryRecvError::Closed));
}
