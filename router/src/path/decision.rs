//! The id that every response carries. It holds node, boot and counter, so that an operator's node can find the record
//! again, and is encrypted, so that it tells a caller nothing: not how many calls there were, nor which node answered.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use http::HeaderValue;

/// An opaque, unique id: `d-` and 26 characters of base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId([u8; 16]);

/// Lower-case base 32 without the letters that are read as digits (Crockford's alphabet).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of an id after `d-`: 128 bits in groups of five.
const DIGITS: usize = 26;

/// Text that is no decision's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decision's id: expected d- and 26 characters, as in the x-weft-decision header of an answer")]
pub struct NotAnId;

impl DecisionId {
    /// The id as text, which is ASCII.
    fn text(self) -> [u8; 2 + DIGITS] {
        let mut text = *b"d-00000000000000000000000000";
        let mut bits = u128::from_be_bytes(self.0);
        for place in text[2..].iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        text
    }

    /// The id as a header's value.
    pub fn header_value(self) -> HeaderValue {
        // Never refused: the text is ASCII.
        HeaderValue::from_bytes(&self.text()).unwrap_or(HeaderValue::from_static("d-"))
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or("d-"))
    }
}

impl FromStr for DecisionId {
    type Err = NotAnId;

    /// Reads what `Display` writes and nothing else: one id has one spelling.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.strip_prefix("d-").filter(|digits| digits.len() == DIGITS).ok_or(NotAnId)?;
        let mut bits: u128 = 0;
        for digit in digits.bytes() {
            let value = ALPHABET.iter().position(|letter| *letter == digit).ok_or(NotAnId)?;
            // 26 digits hold two bits more than an id has.
            bits = bits.checked_mul(32).ok_or(NotAnId)? | value as u128;
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

/// Makes the ids of one boot of one node, and reads them again.
pub struct DecisionIds {
    cipher: Aes128,
    boot: u64,
    counter: AtomicU64,
}

impl DecisionIds {
    /// `key` is the node's secret; `boot` must differ between two starts of the node (a random number does).
    pub fn new(key: [u8; 16], boot: u64) -> Self {
        Self { cipher: Aes128::new(&Array::from(key)), boot, counter: AtomicU64::new(0) }
    }

    /// The next number. Its id is made when somebody is to see it.
    pub fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of a number.
    pub fn id(&self, number: u64) -> DecisionId {
        let clear = (u128::from(self.boot) << 64) | u128::from(number);
        let mut block = Array::from(clear.to_be_bytes());
        self.cipher.encrypt_block(&mut block);
        DecisionId(block.into())
    }

    /// The number behind an id of this boot; `None` for one of another boot or node, or that nobody made.
    pub fn number(&self, id: DecisionId) -> Option<u64> {
        let mut block = Array::from(id.0);
        self.cipher.decrypt_block(&mut block);
        let clear = u128::from_be_bytes(block.into());
        let (boot, number) = ((clear >> 64) as u64, clear as u64);
        (boot == self.boot && number < self.counter.load(Ordering::Relaxed)).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(ids: &DecisionIds) -> DecisionId {
        ids.id(ids.next())
    }

    #[test]
    fn ids_differ_and_tell_nothing() {
        let ids = DecisionIds::new([7; 16], 1);
        let some: Vec<String> = (0..1000).map(|_| next(&ids).to_string()).collect();
        let mut unique = some.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 1000);
        assert!(some.iter().all(|id| id.len() == 28 && id.starts_with("d-")));
        // Two successive ids share no more than chance would have it.
        let alike = some[0].bytes().zip(some[1].bytes()).skip(2).filter(|(a, b)| a == b).count();
        assert!(alike < 8, "{} and {}", some[0], some[1]);
        assert_ne!(some[0], next(&DecisionIds::new([7; 16], 2)).to_string());
    }

    #[test]
    fn an_id_leads_back_to_its_number_in_its_own_boot_only() {
        let ids = DecisionIds::new([7; 16], 1);
        for number in 0..1000 {
            let id = next(&ids);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(ids.number(id), Some(number));
        }
        assert_eq!(ids.number(ids.id(1000)), None, "not given to anybody yet");
        for other in [DecisionIds::new([7; 16], 2), DecisionIds::new([8; 16], 1)] {
            assert_eq!(ids.number(next(&other)), None);
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = DecisionIds::new([7; 16], 1).id(0).to_string();
        for text in [
            "",
            "d-",
            "7",
            &id[1..],
            &id[..27],
            &format!("{id}0"),
            &id.to_uppercase(),
            &format!(" {id}"),
            "d-zzzzzzzzzzzzzzzzzzzzzzzzzz",
            "d-80000000000000000000000000",
            "d-0000000000000000000000000u",
            "d-ä000000000000000000000000",
        ] {
            assert_eq!(text.parse::<DecisionId>(), Err(NotAnId), "{text}");
        }
        assert!("d-7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<DecisionId>().is_ok());
    }
}
