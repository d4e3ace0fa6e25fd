//! Reads a Trigger's spec and notes every mistake in it.

use super::{BackoffPolicy, Delivery, Destination, Handshake, StartFrom, Trigger, TriggerSpec};
use crate::filter::Filters;
use crate::manifest::{Code, Field, Findings, Kind, Location, Metadata, Reference, Role, Section};
use crate::value::{Duration, Name, Namespaced, misspelled};

const KEYS: [&str; 9] = ["topic", "from", "filters", "function", "url", "passIdentity", "path", "reply", "delivery"];
const DELIVERY_KEYS: [&str; 11] = [
    "retry",
    "backoffPolicy",
    "backoffDelay",
    "backoffMax",
    "timeout",
    "deadLetter",
    "ordered",
    "inFlight",
    "maxAge",
    "retryAfterMax",
    "handshake",
];

/// Longest `path` or `url`: the longest request target that the mesh accepts from anybody.
const TARGET_BYTES: usize = 8 * 1024;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

impl Trigger {
    pub(crate) fn read(
        metadata: Metadata,
        location: Location,
        spec: &Field<'_>,
        out: &mut Findings<'_>,
    ) -> Option<Self> {
        let spec = spec.section(&KEYS, out);
        let mut names = Names { home: metadata.namespace.clone(), references: Vec::new() };
        let topic = spec.require("topic", out).and_then(|field| names.read(Role::Uses, Kind::Topic, &field, out));
        let from = spec.choice("from", &StartFrom::CHOICES, out);
        let filters = spec.get("filters").map(|field| Filters::read(&field, out)).unwrap_or_default();
        let destination = read_destination(&spec, &mut names, out);
        let reply = read_topic_of("reply", &spec, &mut names, out);
        let delivery = Delivery::read(&spec.section("delivery", &DELIVERY_KEYS, out), &mut names, out);
        let pass_identity = read_pass_identity(&spec, out);
        let spec =
            TriggerSpec { topic: topic?, from, filters, destination: destination?, pass_identity, reply, delivery };
        Some(Self { metadata, spec, location, references: names.references })
    }
}

/// Reads names of other resources and remembers who was named where.
struct Names {
    home: Name,
    references: Vec<Reference>,
}

impl Names {
    fn read(&mut self, role: Role, kind: Kind, field: &Field<'_>, out: &mut Findings<'_>) -> Option<Namespaced> {
        let to = field.namespaced(&self.home, out)?;
        self.references.push(Reference::new(role, kind, &to, field, out));
        Some(to)
    }
}

/// `{ topic: NAME }` below a key.
fn read_topic_of(key: &str, section: &Section<'_>, names: &mut Names, out: &mut Findings<'_>) -> Option<Namespaced> {
    let topic = section.get(key)?.section(&["topic"], out).require("topic", out)?;
    names.read(Role::Appends, Kind::Topic, &topic, out)
}

fn read_destination(spec: &Section<'_>, names: &mut Names, out: &mut Findings<'_>) -> Option<Destination> {
    let path = spec.get("path");
    match (spec.get("function"), spec.get("url")) {
        (Some(field), None) => {
            let function = names.read(Role::Uses, Kind::Function, &field, out);
            let path = path.map_or_else(|| Some("/".to_owned()), |path| read_path(&path, out))?;
            Some(Destination::Function { function: function?, path })
        }
        (None, Some(field)) => {
            if let Some(path) = path {
                path.report(Code::BadValue, "`path` goes with `function`: write it into `url`", out);
            }
            read_url(&field, out).map(Destination::Url)
        }
        (Some(_), Some(url)) => {
            url.report(Code::BadValue, "`function` and `url` are both given: a trigger delivers to one of them", out);
            None
        }
        (None, None) => {
            if !spec.is_absent() {
                spec.report(Code::MissingKey, "`function` or `url` is missing in `spec`", out);
            }
            None
        }
    }
}

fn read_pass_identity(spec: &Section<'_>, out: &mut Findings<'_>) -> bool {
    let Some(field) = spec.get("passIdentity") else { return false };
    if spec.get("url").is_none() {
        field.report(Code::BadValue, "`passIdentity` goes with `url`: a function always sees who calls", out);
    }
    field.boolean(out).unwrap_or(false)
}

fn read_path(field: &Field<'_>, out: &mut Findings<'_>) -> Option<String> {
    let path = field.text(out)?;
    let parsed = path.parse::<http::uri::PathAndQuery>();
    if !path.starts_with('/') || path.len() > TARGET_BYTES || path.contains('#') || parsed.is_err() {
        field.report(Code::BadValue, "`spec.path` must be a request path such as /events, percent-encoded", out);
        return None;
    }
    // Policies compare a delivery's path like a request's, so it has a request's one spelling.
    if let Some(why) = misspelled(path.split('?').next().unwrap_or_default()) {
        field.report(Code::BadValue, format!("`spec.path`: {why}"), out);
        return None;
    }
    Some(path.to_owned())
}

fn read_url(field: &Field<'_>, out: &mut Findings<'_>) -> Option<http::Uri> {
    let text = field.text(out)?;
    let expected = |why: &str| format!("`spec.url` must be an absolute http or https address: {why}");
    let problem = match text.parse::<http::Uri>() {
        _ if text.len() > TARGET_BYTES => "it is longer than 8 KiB",
        _ if text.contains('#') => "leave out the fragment",
        Err(_) => "this is not a URL",
        Ok(url) if !matches!(url.scheme_str(), Some("http" | "https")) => "it must begin with http:// or https://",
        Ok(url) if url.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            "user and password do not belong into a manifest"
        }
        Ok(url) if url.host().is_none_or(str::is_empty) => "the host is missing",
        Ok(url) => return Some(url),
    };
    field.report(Code::BadValue, expected(problem), out);
    None
}

impl Delivery {
    fn read(delivery: &Section<'_>, names: &mut Names, out: &mut Findings<'_>) -> Self {
        let default = Self::default();
        let read = Self {
            retry: delivery.number("retry", default.retry, 0..=1_000, out),
            backoff_policy: delivery.choice("backoffPolicy", &BackoffPolicy::CHOICES, out),
            backoff_delay: delivery.duration("backoffDelay", default.backoff_delay, MILLISECOND..=DAY, out),
            backoff_max: delivery.duration("backoffMax", default.backoff_max, MILLISECOND..=WEEK, out),
            timeout: delivery.duration("timeout", default.timeout, MILLISECOND..=HOUR, out),
            dead_letter: read_topic_of("deadLetter", delivery, names, out),
            in_flight: delivery.number("inFlight", default.in_flight, 1..=1_024, out),
            max_age: delivery.duration(
                "maxAge",
                default.max_age,
                Duration::from_secs(1)..=Duration::from_secs(365 * 86_400),
                out,
            ),
            retry_after_max: delivery.optional_duration("retryAfterMax", Duration::ZERO..=WEEK, out),
            ordered: delivery.get("ordered").and_then(|field| field.boolean(out)).unwrap_or(default.ordered),
            handshake: delivery.choice("handshake", &Handshake::CHOICES, out),
        };
        if read.backoff_delay > read.backoff_max {
            let (delay, max) = (read.backoff_delay, read.backoff_max);
            let message = format!("`backoffDelay` ({delay}) is above `backoffMax` ({max})");
            delivery.report(Code::BadValue, message, out);
        }
        read
    }
}
