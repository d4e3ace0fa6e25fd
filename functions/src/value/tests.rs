//! Tables of what each value reads and how it is written back.

use super::{Duration, Name, Namespaced, Size};

#[test]
fn durations() {
    fn check(input: &str, expect: Option<(u64, &str)>) {
        let read = input.parse::<Duration>().ok().map(|d| (d.as_millis(), d.to_string()));
        assert_eq!(read, expect.map(|(ms, text)| (ms, text.to_owned())), "{input}");
    }
    check("30s", Some((30_000, "30s")));
    check("60s", Some((60_000, "1m")));
    check("5m", Some((300_000, "5m")));
    check("7d", Some((604_800_000, "7d")));
    check("250ms", Some((250, "250ms")));
    check("1h30m", Some((5_400_000, "1h30m")));
    check("0s", Some((0, "0s")));
    check("1s500ms", Some((1_500, "1s500ms")));
    check("PT0.2S", Some((200, "200ms")));
    check("PT0,200S", Some((200, "200ms")));
    check("PT0.0000S", Some((0, "0s")));
    check("PT5M", Some((300_000, "5m")));
    check("P1D", Some((86_400_000, "1d")));
    check("P1DT2H", Some((93_600_000, "1d2h")));
    check("P2W", Some((1_209_600_000, "14d")));
    check("36500d", Some((3_153_600_000_000, "36500d")));
    for bad in [
        "",
        "30",
        "s",
        "-1s",
        "+1s",
        "1.5h",
        "30 s",
        "30S",
        "1m1h",
        "1s1s",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "P1DT",
        "PT1",
        "PT1S1M",
        "PT0.0001S",
        "PT.2S",
        "PT0.S",
        "P-1D",
        "36501d",
        "99999999999999999999s",
        "1é",
        "é1s",
        "PTé",
    ] {
        check(bad, None);
    }
}

#[test]
fn sizes() {
    fn check(input: &str, expect: Option<(u64, &str)>) {
        let read = input.parse::<Size>().ok().map(|s| (s.bytes(), s.to_string()));
        assert_eq!(read, expect.map(|(bytes, text)| (bytes, text.to_owned())), "{input}");
    }
    check("500", Some((500, "500")));
    check("10Ki", Some((10_240, "10Ki")));
    check("64Mi", Some((67_108_864, "64Mi")));
    check("1Gi", Some((1_073_741_824, "1Gi")));
    check("1024Mi", Some((1_073_741_824, "1Gi")));
    check("5k", Some((5_000, "5k")));
    check("5M", Some((5_000_000, "5M")));
    check("0", Some((0, "0")));
    for bad in ["", "Mi", "-1", "+1", "1.5Gi", "64 Mi", "64mi", "64MB", "99999999999Ti"] {
        check(bad, None);
    }
}

#[test]
fn names() {
    fn check(input: &str, expect: bool) {
        assert_eq!(input.parse::<Name>().is_ok(), expect, "{input}");
    }
    for good in ["a", "hello", "hello-2", "a-b-c", &"a".repeat(63)] {
        check(good, true);
    }
    for bad in ["", "-a", "a-", "1a", "A", "a_b", "a.b", "a/b", " a", "a\n", "é", &"a".repeat(64)] {
        check(bad, false);
    }
    let error = "Hello".parse::<Name>().unwrap_err().to_string();
    assert!(error.contains("`Hello`") && error.contains("1 to 63"), "{error}");
}

#[test]
fn namespaced() {
    fn check(input: &str, expect: Option<(&str, &str)>) {
        let home: Name = "shop".parse().unwrap();
        let read = Namespaced::parse_in(&home, input).ok();
        assert_eq!(
            read.as_ref().map(|n| (n.to_string(), n.relative_to(&home))),
            expect.map(|(full, relative)| (full.to_owned(), relative.to_owned())),
            "{input}"
        );
    }
    check("orders", Some(("shop/orders", "orders")));
    check("shop/orders", Some(("shop/orders", "orders")));
    check("bank/orders", Some(("bank/orders", "bank/orders")));
    for bad in ["", "/", "/orders", "shop/", "a/b/c"] {
        check(bad, None);
    }
}
