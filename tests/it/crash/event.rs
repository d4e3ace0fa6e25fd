//! The events of the test. Everything about one follows from its id, so whoever receives an event can tell whether it is
//! the one that was sent, and nothing has to be kept to compare with.

use std::fmt;
use std::str::FromStr;

use super::chance::mix;

/// The type of events with an even number, which the trigger `even` selects.
pub(super) const EVEN: &str = "crash.even";
/// The type of the others.
pub(super) const ODD: &str = "crash.odd";
/// Where all events come from.
pub(super) const SOURCE: &str = "/crash";
/// Of so many events one is sent with a mistake, and one is repeated with another payload.
const ODDITY: u64 = 16;
/// Bytes of the largest payload: enough that a commit spans pages, and that some are empty.
const PAYLOAD_BYTES: u64 = 1_500;

/// An event's name: which writer made it, and the how-manieth of that writer's it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) writer: u64,
    pub(super) number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.writer, self.number)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (writer, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { writer: writer.parse()?, number: number.parse()? })
    }
}

/// Why an event must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    NoType,
    OtherSpec,
    EmptySource,
    BadTime,
}

impl Id {
    pub(super) fn is_even(self) -> bool {
        self.number.is_multiple_of(2)
    }

    pub(super) fn ty(self) -> &'static str {
        if self.is_even() { EVEN } else { ODD }
    }

    /// The mistake it is sent with.
    pub(super) fn mistake(self) -> Option<Mistake> {
        const MISTAKES: [Mistake; 4] = [Mistake::NoType, Mistake::OtherSpec, Mistake::EmptySource, Mistake::BadTime];
        let every = self.number / ODDITY;
        (self.number % ODDITY == 5).then(|| MISTAKES[(every % 4) as usize])
    }

    /// Whether it is sent again with another payload, which must be refused as a conflict.
    pub(super) fn is_forged(self) -> bool {
        self.number % ODDITY == 12
    }

    /// Its payload.
    pub(super) fn payload(self) -> Vec<u8> {
        let mut state = mix(self.writer << 40 ^ self.number);
        let length = state % PAYLOAD_BYTES;
        let byte = |_| {
            state = mix(state.wrapping_add(1));
            state.to_le_bytes()[0]
        };
        (0..length).map(byte).collect()
    }

    /// Its attributes as headers, with its mistake.
    pub(super) fn headers(self) -> Vec<(&'static str, String)> {
        let mistake = self.mistake();
        let spec = if mistake == Some(Mistake::OtherSpec) { "0.3" } else { "1.0" };
        let source = if mistake == Some(Mistake::EmptySource) { "" } else { SOURCE };
        let mut headers = vec![
            ("ce-id", self.to_string()),
            ("ce-specversion", spec.to_owned()),
            ("ce-source", source.to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
        ];
        if mistake != Some(Mistake::NoType) {
            headers.push(("ce-type", self.ty().to_owned()));
        }
        if mistake == Some(Mistake::BadTime) {
            headers.push(("ce-time", "yesterday".to_owned()));
        }
        headers
    }
}
