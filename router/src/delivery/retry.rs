//! When a failed delivery is tried again, as a pure function of the trigger's delivery settings, the number of attempts
//! and a seed. Knative's DeliverySpec with the corrections that its users asked for: a cap, jitter, and a linear
//! schedule whose first wait is not zero.

use std::time::Duration;

use weft_functions::trigger::{BackoffPolicy, Delivery};

/// The longest first pause of a trigger.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The wait before the next attempt, or `None` when `attempt` was the last one.
///
/// `attempt` is the one that failed, counted from 1. The wait before retry n is `min(backoffMax, backoffDelay * 2^(n-1))`
/// (exponential) or `min(backoffMax, backoffDelay * n)` (linear), multiplied by `jitter` in [0, 1): full jitter.
pub fn next(delivery: &Delivery, attempt: u32, jitter: f64) -> Option<Duration> {
    (attempt <= delivery.retry).then(|| schedule(delivery, delivery.backoff_delay.get(), attempt).mul_f64(jitter))
}

/// The wait of an event whose attempt found nobody, for the `times`-th time: the same schedule, which `retry` does not
/// end. A subscriber's Retry-After lengthens it, up to `retryAfterMax` (default: `backoffMax`).
pub fn deferral(delivery: &Delivery, times: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    schedule(delivery, delivery.backoff_delay.get(), times).mul_f64(jitter).max(capped(delivery, retry_after))
}

/// How long the trigger pauses when its circuit opens for the `openings`-th time in a row: the same schedule from at most
/// [`FIRST_PAUSE`] on, since a pause holds up every event, and half of it at least. Retry-After lengthens it likewise.
pub fn pause(delivery: &Delivery, openings: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let wait = schedule(delivery, delivery.backoff_delay.get().min(FIRST_PAUSE), openings);
    wait.mul_f64(0.5 + jitter / 2.0).max(capped(delivery, retry_after))
}

/// `min(backoffMax, delay * 2^(n-1))` or `min(backoffMax, delay * n)`.
fn schedule(delivery: &Delivery, delay: Duration, number: u32) -> Duration {
    let factor = match delivery.backoff_policy {
        BackoffPolicy::Exponential => 1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX),
        BackoffPolicy::Linear => number.max(1),
    };
    delay.saturating_mul(factor).min(delivery.backoff_max.get())
}

fn capped(delivery: &Delivery, retry_after: Option<Duration>) -> Duration {
    let longest = delivery.retry_after_max.unwrap_or(delivery.backoff_max).get();
    retry_after.unwrap_or_default().min(longest)
}

/// A number in [0, 1) that depends on nothing but its arguments, so that a run can be repeated from its seed.
pub fn jitter(seed: u64, sequence: u64, attempt: u32) -> f64 {
    let mixed = mix(mix(seed ^ sequence.rotate_left(17)) ^ u64::from(attempt));
    // The upper 53 bits fill a double's mantissa exactly.
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Reads a Retry-After: seconds or an HTTP date (RFC 9110, section 10.2.3). `now` is seconds since 1970.
pub fn retry_after(headers: &http::HeaderMap, now: u64) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(value, format).ok()?.assume_utc().unix_timestamp();
    Some(Duration::from_secs(u64::try_from(date).ok()?.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(policy: &str, delay: &str, max: &str, retry: u32) -> Delivery {
        Delivery {
            retry,
            backoff_policy: if policy == "linear" { BackoffPolicy::Linear } else { BackoffPolicy::Exponential },
            backoff_delay: delay.parse().expect("a duration"),
            backoff_max: max.parse().expect("a duration"),
            ..Delivery::default()
        }
    }

    #[test]
    fn schedules() {
        let check = |policy: &str, attempts: &[(u32, Option<u64>)]| {
            for &(attempt, expect) in attempts {
                let wait = next(&delivery(policy, "PT0.2S", "PT5S", 6), attempt, 1.0);
                assert_eq!(wait, expect.map(Duration::from_millis), "{policy}, attempt {attempt}");
            }
        };
        check(
            "exponential",
            &[(1, Some(200)), (2, Some(400)), (3, Some(800)), (5, Some(3200)), (6, Some(5000)), (7, None)],
        );
        check("linear", &[(1, Some(200)), (2, Some(400)), (3, Some(600)), (6, Some(1200)), (7, None)]);
        assert_eq!(next(&delivery("linear", "PT1S", "PT5S", 0), 1, 1.0), None);
        let far = next(&delivery("exponential", "PT1S", "PT5S", u32::MAX), u32::MAX - 1, 1.0);
        assert_eq!(far, Some(Duration::from_secs(5)));
    }

    #[test]
    fn retry_after_lengthens_the_wait_of_one_that_is_not_there_up_to_the_cap() {
        let wait = |after: u64, jitter: f64| {
            deferral(&delivery("exponential", "PT1S", "PT60S", 0), 3, Some(Duration::from_secs(after)), jitter)
        };
        assert_eq!(wait(10, 1.0), Duration::from_secs(10));
        assert_eq!(wait(1, 1.0), Duration::from_secs(4));
        assert_eq!(wait(10, 0.0), Duration::from_secs(10));
        assert_eq!(wait(86_400, 1.0), Duration::from_secs(60));
        let ignored = Delivery { retry_after_max: Some("0s".parse().expect("a duration")), ..Delivery::default() };
        assert_eq!(deferral(&ignored, 1, Some(Duration::from_secs(9)), 1.0), Duration::from_millis(200));
    }

    #[test]
    fn a_trigger_pauses_longer_each_time() {
        let check = |delay: &str, openings: u32, after: u64, expect: (u64, u64)| {
            let delivery = delivery("exponential", delay, "PT60S", 10);
            let wait = |jitter| pause(&delivery, openings, Some(Duration::from_secs(after)), jitter).as_millis() as u64;
            assert_eq!((wait(0.0), wait(1.0)), expect, "{delay}, {openings}, {after}");
        };
        check("PT0.2S", 1, 0, (100, 200));
        check("PT0.2S", 4, 0, (800, 1_600));
        check("PT30S", 1, 0, (500, 1_000));
        check("PT30S", 9, 0, (30_000, 60_000));
        check("PT0.2S", 1, 20, (20_000, 20_000));
        check("PT0.2S", 1, 90, (60_000, 60_000));
    }

    #[test]
    fn jitter_spreads_and_repeats() {
        let some: Vec<f64> = (0..1000).map(|sequence| jitter(42, sequence, 1)).collect();
        assert!(some.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = some.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        assert_eq!(jitter(42, 7, 1), jitter(42, 7, 1));
        assert_ne!(jitter(42, 7, 1), jitter(42, 7, 2));
        assert_ne!(jitter(42, 7, 1), jitter(43, 7, 1));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let check = |value: &'static str, expect: Option<u64>| {
            let mut headers = http::HeaderMap::new();
            headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, 784_111_777 - 60), expect.map(Duration::from_secs), "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(60));
        check("Sun, 06 Nov 1990 08:49:37 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }
}
