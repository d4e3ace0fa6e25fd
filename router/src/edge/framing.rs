//! Decides where each message of an HTTP/1 connection begins and ends, and which bytes may go on to hyper. Separate and
//! pure: the gate does the reading and holding, this does the judging, so that every split of the same bytes can be tested.

#[cfg(test)]
mod tests;

use super::Ambiguous;
use super::chunks::ChunkReader;
use super::raw_head::{BodyFraming, SectionReader};

/// Empty lines skipped before a request line. RFC 9112 section 2.2 asks for at least one, for clients that end a body with
/// an extra CRLF; hyper skips them too.
const MAX_EMPTY_LINES: u8 = 4;

/// What to do with the bytes that were shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advance {
    /// So many bytes from the front are checked and go on. The others are shown again, with more behind them.
    pub(crate) pass: usize,
    /// Why no byte after them ever goes on.
    pub(crate) fault: Option<Fault>,
}

/// Where the bytes stopped making sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// In a head, of which hyper has seen nothing: a refusal can be answered in its place.
    Head(Ambiguous),
    /// In a body, whose head went on before: its reader must fail.
    Body(Ambiguous),
}

#[derive(Debug)]
enum State {
    Head(SectionReader),
    Length(u64),
    Chunks(ChunkReader),
    Trailers(SectionReader),
}

/// Follows one connection's requests.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    empty_lines: u8,
    heads: u64,
}

impl Framing {
    pub(crate) const fn new() -> Self {
        Self { state: State::Head(SectionReader::head()), empty_lines: 0, heads: 0 }
    }

    /// Heads that went on so far; the number of the head that comes next, counted from 0.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether everything of the last request has gone on and nothing of another has come.
    pub(crate) const fn is_between_messages(&self) -> bool {
        matches!(&self.state, State::Head(reader) if reader.is_fresh())
    }

    /// Whether part of a head is held back.
    pub(crate) const fn is_in_head(&self) -> bool {
        matches!(&self.state, State::Head(reader) if !reader.is_fresh())
    }

    /// Judges `bytes`: those not passed by the last call, then new ones.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Advance {
        let mut pass = 0;
        while pass < bytes.len() {
            match self.step(&bytes[pass..]) {
                Ok(0) => break,
                Ok(step) => pass += step,
                Err(fault) => return Advance { pass, fault: Some(fault) },
            }
        }
        Advance { pass, fault: None }
    }

    /// Takes what belongs to the present state; 0 if more bytes are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.state {
            State::Head(reader) => {
                if reader.is_fresh() && bytes.starts_with(b"\r") {
                    match bytes.get(1) {
                        Some(b'\n') => return self.skip_empty_line(),
                        None => return Ok(0),
                        Some(_) => {}
                    }
                }
                let Some(head) = reader.advance(bytes).map_err(Fault::Head)? else { return Ok(0) };
                self.heads += 1;
                self.empty_lines = 0;
                self.state = match head.body {
                    BodyFraming::Length(0) => State::Head(SectionReader::head()),
                    BodyFraming::Length(length) => State::Length(length),
                    BodyFraming::Chunked => State::Chunks(ChunkReader::new()),
                };
                Ok(head.len)
            }
            State::Length(left) => {
                let step = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= step as u64;
                if *left == 0 {
                    self.state = State::Head(SectionReader::head());
                }
                Ok(step)
            }
            State::Chunks(reader) => {
                let (step, last) = reader.advance(bytes).map_err(Fault::Body)?;
                if last {
                    self.state = State::Trailers(SectionReader::trailers());
                }
                Ok(step)
            }
            State::Trailers(reader) => {
                let Some(trailers) = reader.advance(bytes).map_err(Fault::Body)? else { return Ok(0) };
                self.state = State::Head(SectionReader::head());
                Ok(trailers.len)
            }
        }
    }

    fn skip_empty_line(&mut self) -> Result<usize, Fault> {
        self.empty_lines += 1;
        if self.empty_lines > MAX_EMPTY_LINES {
            return Err(Fault::Head(Ambiguous::bad("too many empty lines before the request line")));
        }
        Ok(b"\r\n".len())
    }
}
