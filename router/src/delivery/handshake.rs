//! Whether an address outside wants our events, and how many: CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery", section
//! 4. It is asked before the first event, again when its answer is old, and again with each attempt after it said no. The
//! answer is pure here; the question goes out like every other call.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;
use weft_functions::trigger::Handshake as Wanted;

/// In the question: who wants to send, a DNS name.
pub(super) const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
/// In the answer: from whom it takes events, a DNS name or `*`.
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
/// In the answer: how many requests a minute it takes, or `*`.
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// How long an answer counts.
const LASTS: Duration = Duration::from_secs(3_600);

/// What an address answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// It takes our events.
    Given {
        /// The time between two of them; zero when it named no rate.
        spacing: Duration,
    },
    /// It knows nothing of the handshake.
    Silent,
    /// It takes events of others only.
    Refused,
}

impl Consent {
    /// Reads the answer to a question of `origin`. One of an error without the header is that of a server that does not
    /// know the question; 429 and 5xx but 501 tell nothing at all.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, origin: &str) -> Option<Self> {
        let mut origins = headers.get_all(ALLOWED_ORIGIN).iter().filter_map(|value| value.to_str().ok()).peekable();
        if origins.peek().is_none() {
            let tells_nothing = status == 429 || (status.is_server_error() && status != 501);
            return (!tells_nothing).then_some(Self::Silent);
        }
        let ours = |one: &str| one == "*" || one.eq_ignore_ascii_case(origin);
        if !origins.flat_map(|value| value.split(',')).any(|one| ours(one.trim())) {
            return Some(Self::Refused);
        }
        let rate = headers
            .get(ALLOWED_RATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|rate| rate.trim().parse::<u32>().ok());
        let spacing = match rate {
            Some(0) => return Some(Self::Refused),
            Some(per_minute) => Duration::from_secs(60) / per_minute,
            None => Duration::ZERO,
        };
        Some(Self::Given { spacing })
    }

    /// Whether events go out to one that answered so.
    pub(super) fn suffices(self, wanted: Wanted) -> bool {
        match (self, wanted) {
            (_, Wanted::Off) | (Self::Given { .. }, _) | (Self::Silent, Wanted::Optional) => true,
            (Self::Silent, Wanted::Required) | (Self::Refused, Wanted::Optional | Wanted::Required) => false,
        }
    }
}

/// The handshake of one trigger with its address. All attempts share it, and one asks for all.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was answered, and when.
    answer: Option<(Consent, Instant)>,
    /// When the next event may go out.
    next: Option<Instant>,
}

/// Leave to deliver one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// When.
    pub(super) at: Instant,
}

impl Handshake {
    /// A turn for one event; `ask` is awaited if the address's answer is not known, or not known to suffice. `None` when
    /// it does not suffice; an error is whatever came in place of an answer.
    pub(super) async fn turn<E>(
        &self,
        wanted: Wanted,
        ask: impl Future<Output = Result<Consent, E>>,
    ) -> Result<Option<Turn>, E> {
        if wanted == Wanted::Off {
            return Ok(Some(Turn { at: Instant::now() }));
        }
        let mut state = self.state.lock().await;
        let known = state.answer.filter(|(consent, at)| consent.suffices(wanted) && at.elapsed() < LASTS);
        let consent = match known {
            Some((consent, _)) => consent,
            None => {
                let consent = ask.await?;
                state.answer = Some((consent, Instant::now()));
                consent
            }
        };
        if !consent.suffices(wanted) {
            return Ok(None);
        }
        let now = Instant::now();
        let at = state.next.map_or(now, |next| next.max(now));
        if let Consent::Given { spacing } = consent {
            state.next = Some(at + spacing);
        }
        Ok(Some(Turn { at }))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn given(seconds: u64) -> Option<Consent> {
        Some(Consent::Given { spacing: Duration::from_secs(seconds) })
    }

    #[test]
    fn answers() {
        let check = |status: u16, origin: Option<&'static str>, rate: Option<&'static str>, expect: Option<Consent>| {
            let mut headers = HeaderMap::new();
            let fields = [(ALLOWED_ORIGIN, origin), (ALLOWED_RATE, rate)];
            for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Consent::of(status, &headers, "mesh.example"), expect, "{status} {origin:?} {rate:?}");
        };
        check(200, Some("mesh.example"), None, given(0));
        check(200, Some("Mesh.Example"), Some("*"), given(0));
        check(204, Some("*"), Some("120"), Some(Consent::Given { spacing: Duration::from_millis(500) }));
        check(200, Some("other.example, mesh.example"), Some("1"), given(60));
        check(405, Some("*"), None, given(0));
        check(200, Some("other.example"), Some("*"), Some(Consent::Refused));
        check(200, Some("example"), None, Some(Consent::Refused));
        check(200, Some("*"), Some("0"), Some(Consent::Refused));
        check(200, Some("*"), Some("many"), given(0));
        for status in [200, 204, 400, 401, 403, 404, 405, 501] {
            check(status, None, None, Some(Consent::Silent));
        }
        for status in [429, 500, 502, 503] {
            check(status, None, None, None);
        }
    }

    #[test]
    fn what_suffices() {
        let given = Consent::Given { spacing: Duration::ZERO };
        for (consent, optional, required) in
            [(given, true, true), (Consent::Silent, true, false), (Consent::Refused, false, false)]
        {
            assert_eq!(consent.suffices(Wanted::Optional), optional, "{consent:?}");
            assert_eq!(consent.suffices(Wanted::Required), required, "{consent:?}");
            assert!(consent.suffices(Wanted::Off), "{consent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_for_all_and_the_rate_is_kept() {
        let handshake = Handshake::default();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let turn = async |consent: Consent| {
            let ask = async {
                asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok::<_, ()>(consent)
            };
            handshake.turn(Wanted::Optional, ask).await.expect("an answer")
        };
        let count = || asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(
            (turn(Consent::Refused).await, turn(Consent::Refused).await, count()),
            (None, None, 2),
            "asked again"
        );
        let begin = Instant::now();
        let spacing = Duration::from_secs(6);
        for number in 0..4 {
            let at = turn(Consent::Given { spacing }).await.expect("a turn").at;
            assert_eq!(at, begin + spacing * number);
        }
        assert_eq!(count(), 3);
        tokio::time::sleep(LASTS).await;
        assert_eq!(turn(Consent::Silent).await, Some(Turn { at: Instant::now() }));
        assert_eq!(count(), 4, "an old answer is asked for again");
        let failed = Handshake::default().turn(Wanted::Required, async { Err("nobody") }).await;
        assert_eq!(failed, Err("nobody"));
    }
}
