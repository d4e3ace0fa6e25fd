//! The keys that prove envelopes, and the file that holds them, format 1. Pure: whoever reads and writes the file stands
//! elsewhere, and so does the clock.
//!
//! ```json
//! {"format":1,"oldestReader":1,"since":1700000000000,
//!  "keys":[{"id":"9f2c…","algorithm":"hs256","made":1700000000000,"secret":"base64"}]}
//! ```
//!
//! The last key seals; the others are kept for what they sealed. `since` is when the node first had keys.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The MAC behind `hs256`.
pub(super) type HmacSha256 = Hmac<Sha256>;

const FORMAT: u32 = 1;
const OLDEST_READER: u32 = 1;
const ALGORITHM: &str = "hs256";

/// Bytes of a secret: as many as SHA-256 gives (RFC 2104, section 3), and of an id.
const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 8;

const DAY: Duration = Duration::from_secs(86_400);

/// How long a key seals before another takes its place.
pub const ROTATE_AFTER: Duration = DAY.saturating_mul(30);

/// How long a key is kept after another took its place: the longest retention that a topic may ask for (3,650 days), and
/// the longest `maxAge` of a trigger, for what waits in its retry log (365 days).
const KEEP_FOR: Duration = DAY.saturating_mul(3650 + 365);

/// Most keys in a ring; rotating as above, there are never more than 135.
const KEYS_MAX: usize = 256;

/// Longest file in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// Random bytes for one key.
pub type Seed = [u8; ID_BYTES + SECRET_BYTES];

/// Why a file is not a key ring.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Written by a newer version.
    #[error("it needs a reader of format {0}, this one reads up to {FORMAT}; start the newer version of weft")]
    Newer(u32),
    /// Not what a key ring is.
    #[error("it is not a key ring: {0}")]
    Malformed(String),
}

/// The keys of a node, never empty.
#[derive(Clone)]
pub struct KeyRing {
    since_ms: u64,
    older: Vec<Key>,
    newest: Key,
}

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    id: String,
    made_ms: u64,
    secret: [u8; SECRET_BYTES],
    /// Keyed already; cloned for each MAC.
    mac: HmacSha256,
}

impl KeyRing {
    /// The first ring of a node.
    pub fn new(now_ms: u64, seed: &Seed) -> Self {
        Self { since_ms: now_ms, older: Vec::new(), newest: Key::new(now_ms, seed) }
    }

    /// When the node first had keys, in milliseconds since 1970.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Whether the newest key has sealed for [`ROTATE_AFTER`].
    pub fn is_due(&self, now_ms: u64) -> bool {
        is_past(self.newest.made_ms, ROTATE_AFTER, now_ms)
    }

    /// The ring with another newest key, and without keys that can prove nothing that is still kept.
    #[must_use]
    pub fn rotated(&self, now_ms: u64, seed: &Seed) -> Self {
        let mut older = self.older.clone();
        older.push(self.newest.clone());
        let newest = Key::new(now_ms, seed);
        // A key sealed until its successor was made.
        let successors: Vec<u64> = older.iter().skip(1).map(|key| key.made_ms).chain([now_ms]).collect();
        let mut kept = successors.iter().map(|made| !is_past(*made, KEEP_FOR, now_ms));
        older.retain(|_| kept.next().unwrap_or(true));
        Self { since_ms: self.since_ms, older, newest }
    }

    pub(super) fn newest(&self) -> &Key {
        &self.newest
    }

    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.newest).chain(self.older.iter().rev()).find(|key| key.id == id)
    }

    /// The file's bytes. They are secret.
    pub fn encode(&self) -> Vec<u8> {
        let keys = self.older.iter().chain([&self.newest]).map(|key| FileKey {
            id: key.id.clone(),
            algorithm: ALGORITHM.to_owned(),
            made: key.made_ms,
            secret: STANDARD.encode(key.secret),
        });
        let file = File { format: FORMAT, oldest_reader: OLDEST_READER, since: self.since_ms, keys: keys.collect() };
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(&file).unwrap_or_default()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// Written by a newer version, or not a key ring.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeysError> {
        // The format first: what a newer version wrote may look different everywhere else.
        let format: Format = read(bytes)?;
        if format.oldest_reader > FORMAT {
            return Err(KeysError::Newer(format.oldest_reader));
        }
        let file: File = read(bytes)?;
        if file.keys.len() > KEYS_MAX {
            return Err(KeysError::Malformed(format!("it has more than {KEYS_MAX} keys")));
        }
        let mut older = file.keys.iter().map(Key::read).collect::<Result<Vec<_>, _>>()?;
        let newest = older.pop().ok_or_else(|| KeysError::Malformed("it has no key".to_owned()))?;
        let ring = Self { since_ms: file.since, older, newest };
        match ring.has_an_id_twice() {
            Some(id) => Err(KeysError::Malformed(format!("it has the key {id:?} twice"))),
            None => Ok(ring),
        }
    }

    fn has_an_id_twice(&self) -> Option<&str> {
        let mut ids: Vec<&str> = self.older.iter().chain([&self.newest]).map(|key| key.id.as_str()).collect();
        ids.sort_unstable();
        ids.array_windows().find(|[one, other]| one == other).map(|[id, _]| *id)
    }
}

/// The ids only: secrets have no business in a log.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.older.iter().chain([&self.newest]).map(|key| &key.id);
        f.debug_struct("KeyRing").field("since_ms", &self.since_ms).field("keys", &ids.collect::<Vec<_>>()).finish()
    }
}

impl Key {
    fn new(made_ms: u64, seed: &Seed) -> Self {
        let (id, rest) = seed.split_at(ID_BYTES);
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(rest);
        Self::of(id.iter().map(|byte| format!("{byte:02x}")).collect(), made_ms, secret)
    }

    fn of(id: String, made_ms: u64, secret: [u8; SECRET_BYTES]) -> Self {
        // HMAC takes keys of any length; SHA-256's block is longer than ours, so it is used as it is.
        let mut block = hmac::digest::Key::<HmacSha256>::default();
        block[..SECRET_BYTES].copy_from_slice(&secret);
        Self { id, made_ms, secret, mac: <HmacSha256 as hmac::digest::KeyInit>::new(&block) }
    }

    fn read(key: &FileKey) -> Result<Self, KeysError> {
        let malformed = |what: &str| KeysError::Malformed(format!("its key {:?} {what}", key.id));
        if key.algorithm != ALGORITHM {
            return Err(malformed("is for no algorithm that this version knows"));
        }
        if key.id.is_empty() || !key.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("has an id of other characters than letters and digits"));
        }
        let secret = STANDARD.decode(&key.secret).ok().and_then(|secret| secret.try_into().ok());
        let secret = secret.ok_or_else(|| malformed("has no secret of 32 bytes in base64"))?;
        Ok(Self::of(key.id.clone(), key.made, secret))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn mac(&self) -> HmacSha256 {
        self.mac.clone()
    }
}

fn is_past(since_ms: u64, span: Duration, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(since_ms)) >= span.as_millis()
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, KeysError> {
    serde_json::from_slice(bytes).map_err(|error| KeysError::Malformed(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format {
    oldest_reader: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    format: u32,
    oldest_reader: u32,
    since: u64,
    keys: Vec<FileKey>,
}

#[derive(Serialize, Deserialize)]
struct FileKey {
    id: String,
    algorithm: String,
    made: u64,
    secret: String,
}
