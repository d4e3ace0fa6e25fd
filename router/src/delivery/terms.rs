//! From when and until when an event may be delivered. Pure; `maxAge` always wins.

use weft_eventlog::Lease;
use weft_functions::event::Event;
use weft_functions::trigger::Delivery;

/// In the cause of an event that was put aside for longer than the log allows: until when, Unix milliseconds.
pub(super) const HELD: &str = "held";

/// The time in which an event may be delivered, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    earliest_ms: u64,
    /// From then on it is too late.
    pub(super) latest_ms: u64,
}

/// Where a moment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the event's time.
    Early {
        /// When to look again.
        due_ms: u64,
    },
    /// Within it.
    Now,
    /// After it.
    Over,
}

impl Terms {
    /// Of a leased event. Its age counts from when it was accepted, or from when it may be delivered if that is later.
    pub(super) fn of(lease: &Lease, event: &Event, delivery: &Delivery) -> Self {
        let not_before_ms = event.not_before_ms().unwrap_or(0);
        let held = lease.last_cause.iter().find(|(name, _)| name == HELD).and_then(|(_, until)| until.parse().ok());
        let max_age = u64::try_from(delivery.max_age.get().as_millis()).unwrap_or(u64::MAX);
        let too_old_ms = lease.accepted_ms.max(not_before_ms).saturating_add(max_age);
        Self {
            earliest_ms: not_before_ms.max(held.unwrap_or(0)),
            latest_ms: too_old_ms.min(event.expires_ms().unwrap_or(u64::MAX)),
        }
    }

    /// Where `now_ms` lies.
    pub(super) fn at(&self, now_ms: u64) -> Moment {
        if now_ms >= self.latest_ms {
            Moment::Over
        } else if now_ms < self.earliest_ms {
            Moment::Early { due_ms: self.earliest_ms.min(self.latest_ms) }
        } else {
            Moment::Now
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weft_eventlog::{Record, Sequence};

    use super::*;

    /// An event accepted at 1,000 s, with `maxAge` of 100 s.
    fn check(attributes: &[(&'static str, &'static str)], held: Option<u64>, at: &[(u64, Moment)]) {
        let event = attributes
            .iter()
            .fold(Event::builder().id("1").source("/s").ty("t"), |event, (name, value)| event.extension(*name, *value));
        let record = Record {
            sequence: Sequence::FIRST,
            admitted_ms: 1_000_000,
            dedupe: None,
            key: None,
            subject: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let last_cause = held.map(|held| (HELD.to_owned(), held.to_string())).into_iter().collect();
        let lease = Lease { record, attempt: 1, accepted_ms: 1_000_000, first_failure_ms: None, last_cause };
        let delivery = Delivery { max_age: "100s".parse().expect("a duration"), ..Delivery::default() };
        let terms = Terms::of(&lease, &event.build().expect("an event"), &delivery);
        for (seconds, expect) in at {
            assert_eq!(terms.at(seconds * 1_000), *expect, "{attributes:?}, {held:?}, {seconds}");
        }
    }

    #[test]
    fn an_event_has_its_time() {
        use Moment::{Early, Now, Over};
        let early = |seconds: u64| Early { due_ms: seconds * 1_000 };
        check(&[], None, &[(1_000, Now), (1_099, Now), (1_100, Over), (u64::MAX / 1_000, Over)]);
        check(&[("expirytime", "1970-01-01T00:17:30Z")], None, &[(1_049, Now), (1_050, Over)]);
        check(&[("expirytime", "1970-01-01T01:00:00Z")], None, &[(1_099, Now), (1_100, Over)]);
        check(&[("expirytime", "1969-12-31T23:59:59Z")], None, &[(0, Over)]);
        let later = [("weftdelivernotbefore", "1970-01-01T00:33:20Z")];
        check(&later, None, &[(1_000, early(2_000)), (1_999, early(2_000)), (2_000, Now), (2_099, Now), (2_100, Over)]);
        let never = [later[0], ("expirytime", "1970-01-01T00:17:30Z")];
        check(&never, None, &[(1_000, early(1_050)), (1_050, Over)]);
        check(&[("weftdelivernotbefore", "1969-12-31T23:59:59Z")], None, &[(1_000, Now), (1_100, Over)]);
        check(&[], Some(1_050_000), &[(1_000, early(1_050)), (1_050, Now), (1_100, Over)]);
        check(&[], Some(9_000_000), &[(1_000, early(1_100)), (1_100, Over)]);
    }
}
