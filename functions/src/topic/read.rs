//! Reads a Topic's spec and notes every mistake in it.

use super::{Durability, Retention, TopicSpec, WhenFull};
use crate::issuer::read_claims;
use crate::manifest::{Field, Findings, Section};
use crate::value::{Duration, Size};

const KEYS: [&str; 4] = ["retention", "dedupe", "durability", "keepClaims"];
const RETENTION_KEYS: [&str; 3] = ["age", "size", "full"];

/// Claims stored with each event: they are part of every record.
const KEEP_CLAIMS: usize = 32;

const DAY: Duration = Duration::from_secs(86_400);

impl TopicSpec {
    pub(crate) fn read(spec: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let spec = spec.section(&KEYS, out);
        let default = Self::default();
        Self {
            retention: Retention::read(&spec.section("retention", &RETENTION_KEYS, out), out),
            dedupe: spec.duration("dedupe", default.dedupe, Duration::ZERO..=DAY, out),
            durability: spec.choice("durability", &Durability::CHOICES, out),
            keep_claims: spec.get("keepClaims").map(|field| read_claims(&field, KEEP_CLAIMS, out)).unwrap_or_default(),
        }
    }
}

impl Retention {
    fn read(retention: &Section<'_>, out: &mut Findings<'_>) -> Self {
        let default = Self::default();
        let age = Duration::from_secs(1)..=Duration::from_secs(3_650 * 86_400);
        let size = Size::from_bytes(64 << 10)..=Size::from_bytes(16 << 40);
        Self {
            age: retention.duration("age", default.age, age, out),
            size: retention.size("size", default.size, size, out),
            full: retention.choice("full", &WhenFull::CHOICES, out),
        }
    }
}
