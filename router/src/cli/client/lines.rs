//! A stream of lines from the node, cut where the lines end and nowhere else.
//!
//! Separate because a line may come in pieces or several at once, must not grow without limit, and because silence
//! means something: the node writes an empty line every 15 s, so a longer silence is a lost connection.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Address, ClientError};

/// Three missed keep-alives of 15 s: the node is gone, though the connection does not know it yet.
const SILENCE: Duration = Duration::from_secs(45);

/// The longest line. An event is at most 1 MiB; JSON may write each of its bytes as six (`\u0000`), and the envelope
/// is small.
const LINE_BYTES: usize = 8 << 20;

/// Lines as they come. Empty ones, which only keep the connection alive, are left out.
pub(in crate::cli) struct Lines {
    body: Incoming,
    address: Address,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Incoming, address: Address) -> Self {
        Self { body, address, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line without its end; `None` when the node ended the stream.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(line) = self.cut() {
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            } else if self.buffer.len() > LINE_BYTES {
                return Err(ClientError::TooLarge { address: self.address.clone(), limit: LINE_BYTES });
            } else if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let end = self.buffer.get(self.searched..)?.iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }

    /// Reads on; `false` at the end of the stream. A last line without an end was not written whole and is dropped.
    async fn fill(&mut self) -> Result<bool, ClientError> {
        let silent = |_elapsed| ClientError::TimedOut { address: self.address.clone(), patience: SILENCE };
        match tokio::time::timeout(SILENCE, self.body.frame()).await.map_err(silent)? {
            None => Ok(false),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(true)
            }
            Some(Err(error)) => {
                Err(ClientError::Interrupted { address: self.address.clone(), cause: error.to_string() })
            }
        }
    }
}
