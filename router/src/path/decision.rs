//! The id that every response carries. It holds node, boot and counter, so that an operator's node can find the record
//! again, and is encrypted, so that it tells a caller nothing: not how many calls there were, nor which node answered.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// An opaque, unique id: `d-` and 26 characters of base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId([u8; 16]);

/// Lower-case base 32 without the letters that are read as digits (Crockford's alphabet).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"d-00000000000000000000000000";
        let mut bits = u128::from_be_bytes(self.0);
        for place in text[2..].iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or("d-"))
    }
}

/// Makes the ids of one boot of one node.
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

    /// The next id.
    pub fn next(&self) -> DecisionId {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let clear = (u128::from(self.boot) << 64) | u128::from(counter);
        let mut block = Array::from(clear.to_be_bytes());
        self.cipher.encrypt_block(&mut block);
        DecisionId(block.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_tell_nothing() {
        let ids = DecisionIds::new([7; 16], 1);
        let some: Vec<String> = (0..1000).map(|_| ids.next().to_string()).collect();
        let mut unique = some.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 1000);
        assert!(some.iter().all(|id| id.len() == 28 && id.starts_with("d-")));
        // Two successive ids share no more than chance would have it.
        let alike = some[0].bytes().zip(some[1].bytes()).skip(2).filter(|(a, b)| a == b).count();
        assert!(alike < 8, "{} and {}", some[0], some[1]);
        assert_ne!(some[0], DecisionIds::new([7; 16], 2).next().to_string());
    }
}
