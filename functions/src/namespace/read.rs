//! Reads a Namespace's spec and notes every mistake in it.

use super::{DefaultVerdict, Namespace, NamespaceSpec, Quotas, SourcePrefix};
use crate::manifest::{Code, Field, Findings, Location, Metadata, Section};
use crate::value::Size;

const KEYS: [&str; 3] = ["default", "sourcePrefixes", "quotas"];
const QUOTA_KEYS: [&str; 3] = ["functions", "instances", "publishBytesPerSecond"];

/// Entries of `sourcePrefixes`; each published event is compared with all of them.
const PREFIXES: usize = 64;

impl Namespace {
    pub(crate) fn read(metadata: Metadata, location: Location, spec: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let section = spec.section(&KEYS, out);
        let default = section.get("default").and_then(|field| field.choice(&DefaultVerdict::CHOICES, out));
        let prefixes = section.get("sourcePrefixes").map(|field| field.some(PREFIXES, out)).unwrap_or_default();
        let source_prefixes: Vec<SourcePrefix> =
            prefixes.iter().filter_map(|entry| entry.parsed(Code::BadValue, out)).collect();
        let quotas = section.section("quotas", &QUOTA_KEYS, out);
        let functions_place = quotas.get("functions").as_ref().unwrap_or(spec).place(out);
        let spec = NamespaceSpec { default, source_prefixes, quotas: Quotas::read(&quotas, out) };
        Self { metadata, spec, location, functions_place }
    }
}

impl Quotas {
    fn read(quotas: &Section<'_>, out: &mut Findings<'_>) -> Self {
        let default = Self::default();
        let rate = Size::from_bytes(1 << 10)..=Size::from_bytes(1 << 40);
        Self {
            functions: quotas.number("functions", default.functions, 0..=100_000, out),
            instances: quotas.number("instances", default.instances, 0..=1_000_000, out),
            publish_bytes_per_second: quotas.size("publishBytesPerSecond", default.publish_bytes_per_second, rate, out),
        }
    }
}
