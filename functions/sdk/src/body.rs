//! The body of a message: bytes in hand, a stream to read, or a writer that will produce it. Separate because requests
//! and responses, coming and going, share it.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io::{self, Read, Write};

use crate::Error;

/// How many bytes `body()`, `text()` and `json()` read: 8 MiB, an eighth of a function's default memory of 64 MiB,
/// which leaves room for the parsed copy. Read a bigger body with `into_reader()`.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

type Writer = Box<dyn FnOnce(&mut dyn Write) -> Result<(), Error>>;

enum Source {
    Reader(Box<dyn Read>),
    Writer(Writer),
}

pub(crate) struct Body {
    bytes: OnceCell<Vec<u8>>,
    source: RefCell<Option<Source>>,
}

/// Why a body could not be read whole. The owner of the body knows whose fault that is.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge,
    Failed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the body is larger than {BODY_LIMIT} bytes; read it with into_reader()"),
            Self::Failed(why) => write!(f, "reading the body: {why}"),
        }
    }
}

impl Body {
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes: OnceCell::from(bytes), source: RefCell::new(None) }
    }

    pub(crate) fn from_reader(reader: impl Read + 'static) -> Self {
        Self::from_source(Source::Reader(Box::new(reader)))
    }

    pub(crate) fn from_writer(write: impl FnOnce(&mut dyn Write) -> Result<(), Error> + 'static) -> Self {
        Self::from_source(Source::Writer(Box::new(write)))
    }

    fn from_source(source: Source) -> Self {
        Self { bytes: OnceCell::new(), source: RefCell::new(Some(source)) }
    }

    /// The whole body, read (or written, for a function's own tests) at the first call and kept.
    pub(crate) fn read(&self) -> Result<&[u8], ReadError> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        match self.source.take() {
            Some(Source::Reader(reader)) => {
                let limit = BODY_LIMIT as u64 + 1;
                reader.take(limit).read_to_end(&mut bytes).map_err(|error| ReadError::Failed(error.to_string()))?;
            }
            Some(Source::Writer(write)) => write(&mut bytes).map_err(|error| ReadError::Failed(error.to_string()))?,
            None => return Err(ReadError::Failed("an earlier attempt failed".into())),
        }
        if bytes.len() > BODY_LIMIT {
            return Err(ReadError::TooLarge);
        }
        Ok(self.bytes.get_or_init(|| bytes))
    }

    /// What is left to read. A body that is still to be written, or that could not be read, is a reader that fails.
    pub(crate) fn into_reader(self) -> Box<dyn Read> {
        match (self.bytes.into_inner(), self.source.into_inner()) {
            (Some(bytes), _) => Box::new(io::Cursor::new(bytes)),
            (None, Some(Source::Reader(reader))) => reader,
            (None, _) => Box::new(Unreadable),
        }
    }

    /// The length in bytes, where it is known before sending.
    pub(crate) fn len(&self) -> Option<usize> {
        self.bytes.get().map(Vec::len)
    }

    /// Sends the body. Only a module sends; elsewhere this is for tests.
    #[cfg(any(test, target_arch = "wasm32"))]
    pub(crate) fn write_to(self, out: &mut dyn Write) -> Result<(), Error> {
        match (self.bytes.into_inner(), self.source.into_inner()) {
            (Some(bytes), _) => out.write_all(&bytes)?,
            (None, Some(Source::Reader(mut reader))) => {
                io::copy(&mut reader, out)?;
            }
            (None, Some(Source::Writer(write))) => write(out)?,
            (None, None) => return Err(Error::new("the body is gone: an earlier attempt to read it failed")),
        }
        Ok(())
    }
}

struct Unreadable;

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("this body has nothing to read: it is still to be written, or reading it failed"))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            Some(length) => write!(f, "{length} bytes"),
            None => f.write_str("a stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_once_and_kept() {
        let body = Body::from_reader(&b"abc"[..]);
        assert_eq!(body.len(), None);
        assert_eq!(body.read().unwrap(), b"abc");
        assert_eq!((body.read().unwrap(), body.len()), (&b"abc"[..], Some(3)));
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let exact = Body::from_reader(io::repeat(7).take(BODY_LIMIT as u64));
        assert_eq!(exact.read().unwrap().len(), BODY_LIMIT);
        let endless = Body::from_reader(io::repeat(7));
        assert!(matches!(endless.read(), Err(ReadError::TooLarge)));
        assert!(matches!(endless.read(), Err(ReadError::Failed(_))), "a half-read body is never taken for a whole one");
        assert!(endless.write_to(&mut Vec::new()).is_err());
    }

    #[test]
    fn every_source_is_written_whole() {
        fn check(body: Body) {
            let mut out = Vec::new();
            body.write_to(&mut out).unwrap();
            assert_eq!(out, b"abc");
        }
        check(Body::from_bytes(b"abc".to_vec()));
        check(Body::from_reader(&b"abc"[..]));
        check(Body::from_writer(|out| Ok(out.write_all(b"abc")?)));
        assert_eq!(Body::from_writer(|out| Ok(out.write_all(b"abc")?)).read().unwrap(), b"abc");
    }
}
