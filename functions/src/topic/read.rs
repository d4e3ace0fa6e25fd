//! Reads a Topic's spec and notes every mistake in it.

use super::{Durability, Retention, TopicSpec, WhenFull};
use crate::manifest::{Code, Field, Findings, Section};
use crate::value::{Duration, Size};

const KEYS: [&str; 4] = ["retention", "dedupe", "durability", "keepClaims"];
const RETENTION_KEYS: [&str; 3] = ["age", "size", "full"];

/// Claims stored with each event: they are part of every record.
const KEEP_CLAIMS: usize = 32;

/// Longest name of a claim.
const CLAIM_BYTES: usize = 256;

const DAY: Duration = Duration::from_secs(86_400);

impl TopicSpec {
    pub(crate) fn read(spec: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let spec = spec.section(&KEYS, out);
        let default = Self::default();
        Self {
            retention: Retention::read(&spec.section("retention", &RETENTION_KEYS, out), out),
            dedupe: spec.duration("dedupe", default.dedupe, Duration::ZERO..=DAY, out),
            durability: spec.choice("durability", &Durability::CHOICES, out),
            keep_claims: spec.get("keepClaims").map(|field| read_claims(&field, out)).unwrap_or_default(),
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

fn read_claims(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<String> {
    let mut claims = Vec::new();
    for entry in field.at_most(KEEP_CLAIMS, out) {
        let Some(claim) = entry.text(out) else { continue };
        if claim.is_empty() || claim.len() > CLAIM_BYTES || claim.contains(char::is_control) {
            let message = format!("`{}` must be the name of a claim of 1 to {CLAIM_BYTES} bytes", entry.path());
            entry.report(Code::BadValue, message, out);
        }
        claims.push(claim.to_owned());
    }
    claims
}
