//! Stands between the socket and hyper's HTTP/1 reader: a head goes on only when it is whole and means one thing.
//! Separate because it is the one place that touches raw bytes and the only one that may hold them back.
//!
//! An ambiguous head is replaced, not repaired: hyper gets [`SUBSTITUTE`] in its place, and the connection's service
//! answers that request with the refusal. So answers keep their order (requests pipelined before it are served first), all
//! writing stays with hyper, and hyper never sees a byte of what was refused or of what came after it.
//!
//! The gate also owns two deadlines that hyper cannot keep, because it sees heads only whole: the head's, and the peer's
//! for taking what we write.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Ambiguous;
use super::activity::{Activity, InFlight};
use super::framing::{Fault, Framing};

/// What hyper reads instead of a refused head. The service knows it by its number, not by its text; `close` makes hyper
/// end the connection after the answer.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// How much more is read, and for how long, after the last answer to a client that is still sending. Closing at once would
/// make the kernel send RST, which may destroy the answer before the client has read it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Bytes read at a time while a head is incomplete, and while lingering.
const STEP: usize = 4 * 1024;

/// The request that the gate replaced: its number on the connection, counted from 0, and why. Set at most once.
pub(crate) type Replaced = OnceLock<(u64, Ambiguous)>;

/// Times the gate keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateTimes {
    /// From a head's first byte to its last.
    pub(crate) head: Duration,
    /// For which the peer may take nothing of what we write.
    pub(crate) write_stall: Duration,
}

#[derive(Debug)]
enum Phase {
    /// HTTP/1: heads are looked at.
    Judge(Framing),
    /// HTTP/2: bytes go on untouched; its frames leave nothing to disagree about.
    PassThrough,
    /// The substitute went on; nothing more will.
    Replaced,
    /// The body that hyper is reading broke.
    Broken(Ambiguous),
}

/// A connection whose reads are judged.
#[derive(Debug)]
pub(crate) struct Gate<IO> {
    io: IO,
    phase: Phase,
    /// Judged bytes that did not fit into the reader's buffer.
    ready: Bytes,
    /// Bytes of an incomplete head.
    held: BytesMut,
    replaced: Arc<Replaced>,
    activity: Arc<Activity>,
    times: GateTimes,
    /// While part of a head is held.
    head: Option<PartialHead>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

/// A head of which a part has come: it has a deadline, and its connection is not idle.
#[derive(Debug)]
struct PartialHead {
    deadline: Pin<Box<Sleep>>,
    _in_flight: InFlight,
}

#[derive(Debug)]
struct Linger {
    bytes: usize,
    until: Pin<Box<Sleep>>,
}

impl<IO> Gate<IO> {
    pub(crate) fn new(io: IO, times: GateTimes, replaced: Arc<Replaced>, activity: Arc<Activity>) -> Self {
        Self {
            io,
            phase: Phase::PassThrough,
            ready: Bytes::new(),
            held: BytesMut::new(),
            replaced,
            activity,
            times,
            head: None,
            write_deadline: None,
            linger: None,
        }
    }

    /// Judges everything, starting with the bytes that were read to find out that this is HTTP/1.
    pub(crate) fn judging(mut self, first: BytesMut) -> Self {
        self.phase = Phase::Judge(Framing::new());
        self.held = first;
        self.judge_held();
        self
    }

    /// Passes everything, starting with the bytes that were read to find out that this is HTTP/2.
    pub(crate) fn passing(mut self, first: BytesMut) -> Self {
        self.ready = first.freeze();
        self
    }

    /// Judges what is held and moves what passes to `ready`.
    fn judge_held(&mut self) {
        let Phase::Judge(framing) = &mut self.phase else { return };
        let advance = framing.advance(&self.held);
        self.ready = self.held.split_to(advance.pass).freeze();
        self.settle(advance.fault);
    }

    /// Acts on the verdict about the bytes that remain held.
    fn settle(&mut self, fault: Option<Fault>) {
        match fault {
            Some(Fault::Head(why)) => self.replace_head(why),
            Some(Fault::Body(why)) => {
                self.held.clear();
                self.phase = Phase::Broken(why);
            }
            None => self.time_head(),
        }
    }

    /// A head's deadline runs from its first byte and is not moved by later ones.
    fn time_head(&mut self) {
        let in_head = matches!(&self.phase, Phase::Judge(framing) if framing.is_in_head());
        if !in_head {
            self.head = None;
        } else if self.head.is_none() {
            let deadline = Box::pin(sleep_until(Instant::now() + self.times.head));
            self.head = Some(PartialHead { deadline, _in_flight: InFlight::enter(&self.activity) });
        }
    }

    fn replace_head(&mut self, why: Ambiguous) {
        let Phase::Judge(framing) = &self.phase else { return };
        // Set once: there is no way back from `Replaced`.
        let _ = self.replaced.set((framing.heads(), why));
        self.held.clear();
        self.head = None;
        self.phase = Phase::Replaced;
        let mut ready = BytesMut::with_capacity(self.ready.len() + SUBSTITUTE.len());
        ready.extend_from_slice(&self.ready);
        ready.extend_from_slice(SUBSTITUTE);
        self.ready = ready.freeze();
    }

    /// Whether the client may still be sending what nobody will read.
    fn has_unread_input(&self) -> bool {
        match &self.phase {
            Phase::Judge(framing) => !framing.is_between_messages(),
            Phase::PassThrough => false,
            Phase::Replaced | Phase::Broken(_) => true,
        }
    }
}

impl<IO: AsyncRead + Unpin> Gate<IO> {
    /// Reads straight into the reader's buffer: the usual case, in which nothing is copied. False if nothing passed.
    fn poll_judge(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let start = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
        let Phase::Judge(framing) = &mut self.phase else { return Poll::Ready(Ok(true)) };
        let fresh = &out.filled()[start..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let advance = framing.advance(fresh);
        self.held.extend_from_slice(&fresh[advance.pass..]);
        out.set_filled(start + advance.pass);
        self.settle(advance.fault);
        Poll::Ready(Ok(advance.pass > 0))
    }

    /// Reads more of an incomplete head. False at the end of the stream.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut step = [0; STEP];
        let mut step = ReadBuf::new(&mut step);
        match Pin::new(&mut self.io).poll_read(cx, &mut step) {
            Poll::Ready(Ok(())) if step.filled().is_empty() => return Poll::Ready(Ok(false)),
            Poll::Ready(Ok(())) => {
                self.held.extend_from_slice(step.filled());
                self.judge_held();
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // Only now is it the client who is late, and not we who did not read.
            Poll::Pending => {
                let Some(head) = &mut self.head else { return Poll::Pending };
                ready!(head.deadline.as_mut().poll(cx));
                self.replace_head(Ambiguous::with(StatusCode::REQUEST_TIMEOUT, "request head took too long"));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Reads and forgets, within limits, until the client has closed its side too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(|| Linger {
            bytes: LINGER_BYTES,
            until: Box::pin(sleep_until(Instant::now() + LINGER_TIME)),
        });
        while linger.bytes > 0 && linger.until.as_mut().poll(cx).is_pending() {
            let mut step = [0; STEP];
            let mut step = ReadBuf::new(&mut step);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut step)) {
                Ok(()) if !step.filled().is_empty() => {
                    linger.bytes = linger.bytes.saturating_sub(step.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Gate<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if !gate.ready.is_empty() {
                let step = gate.ready.len().min(out.remaining());
                out.put_slice(&gate.ready[..step]);
                gate.ready.advance(step);
                return Poll::Ready(Ok(()));
            }
            let go_on = match &gate.phase {
                Phase::PassThrough => return Pin::new(&mut gate.io).poll_read(cx, out),
                // Not the end of the stream: hyper would drop the request that it is answering. It closes by itself after
                // the answer to the substitute.
                Phase::Replaced => return Poll::Pending,
                Phase::Broken(why) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *why))),
                Phase::Judge(_) if gate.held.is_empty() => {
                    if ready!(gate.poll_judge(cx, out))? {
                        return Poll::Ready(Ok(()));
                    }
                    true
                }
                Phase::Judge(_) => ready!(gate.poll_hold(cx))?,
            };
            if !go_on {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Gate<IO> {
    /// Ends a connection whose peer takes nothing for too long.
    fn check_stall<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_deadline = None;
            return result;
        }
        let limit = self.times.write_stall;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "peer took nothing of the answer for too long")))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.io).poll_write(cx, bytes);
        gate.check_stall(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.io).poll_write_vectored(cx, bytes);
        gate.check_stall(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.io).poll_flush(cx);
        gate.check_stall(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.linger.is_none() {
            ready!(Pin::new(&mut gate.io).poll_shutdown(cx))?;
            if !gate.has_unread_input() {
                return Poll::Ready(Ok(()));
            }
        }
        ready!(gate.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}
