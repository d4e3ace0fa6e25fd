//! Decides where the chunks of a body end (RFC 9112 section 7.1), byte by byte. Separate and pure: hyper reads the same
//! chunks after us, and both must find the same end, so this accepts only what everybody reads alike.

use super::Ambiguous;
use super::raw_head::is_token;

/// Most hex digits of a chunk size: 2^40 bytes is more than any request may have, and no sum overflows.
const MAX_SIZE_DIGITS: u8 = 10;

/// Longest extensions of one chunk, in bytes. No client weft knows of sends any; the RFC makes us read past them.
const MAX_EXTENSION: u16 = 256;

/// How far into a chunk the bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    ExtensionName { empty: bool },
    ExtensionValue,
    Token,
    Quoted,
    QuotedEscape,
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
}

/// Reads chunks up to and including the line of the last, empty one. Trailers are not its business.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    at: At,
    digits: u8,
    extension: u16,
    /// Size while it is read, then the bytes left.
    left: u64,
}

impl ChunkReader {
    pub(crate) const fn new() -> Self {
        Self { at: At::Size, digits: 0, extension: 0, left: 0 }
    }

    /// Goes on with new bytes. Gives how many belong to the chunks, and whether the last chunk's line ended.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), Ambiguous> {
        let mut used = 0;
        while used < bytes.len() {
            if self.at == At::Data {
                let rest = bytes.len() - used;
                let step = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                used += step;
                self.left -= step as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            let last = self.step(bytes[used])?;
            used += 1;
            if last {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    /// One byte that is not data; true at the end of the last chunk's line.
    fn step(&mut self, byte: u8) -> Result<bool, Ambiguous> {
        self.at = match (self.at, byte) {
            (At::Size, _) => self.step_size(byte)?,
            (At::SizeLf, b'\n') if self.left == 0 => return Ok(true),
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                *self = Self::new();
                At::Size
            }
            (At::DataCr | At::DataLf | At::SizeLf, _) => {
                return Err(Ambiguous::bad("chunk does not end with carriage return and line feed"));
            }
            _ => self.step_extension(byte)?,
        };
        Ok(false)
    }

    fn step_size(&mut self, byte: u8) -> Result<At, Ambiguous> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(At::SizeLf),
            b';' if self.digits > 0 => return Ok(At::ExtensionName { empty: true }),
            _ => return Err(Ambiguous::bad("chunk size is not hexadecimal")),
        };
        self.digits += 1;
        if self.digits > MAX_SIZE_DIGITS {
            return Err(Ambiguous::bad("chunk size is too large"));
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size)
    }

    /// `*( ";" name [ "=" ( token / quoted-string ) ] )`, without the white space that the grammar calls bad.
    fn step_extension(&mut self, byte: u8) -> Result<At, Ambiguous> {
        self.extension += 1;
        if self.extension > MAX_EXTENSION {
            return Err(Ambiguous::bad("chunk extensions are longer than 256 bytes"));
        }
        let ended = matches!(self.at, At::ExtensionName { empty: false } | At::Token | At::QuotedEnd);
        Ok(match (self.at, byte) {
            (_, b'\r') if ended => At::SizeLf,
            (_, b';') if ended => At::ExtensionName { empty: true },
            (At::ExtensionName { empty: false }, b'=') => At::ExtensionValue,
            (At::ExtensionValue, b'"') | (At::QuotedEscape, b' '..=b'~') => At::Quoted,
            (At::Quoted, b'"') => At::QuotedEnd,
            (At::Quoted, b'\\') => At::QuotedEscape,
            (At::Quoted, b' '..=b'~') => At::Quoted,
            (At::ExtensionName { .. }, _) if is_token(byte) => At::ExtensionName { empty: false },
            (At::ExtensionValue | At::Token, _) if is_token(byte) => At::Token,
            _ => return Err(Ambiguous::bad("chunk extension is malformed")),
        })
    }
}
