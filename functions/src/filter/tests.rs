//! Every dialect against one event, and the words for a failure.

use super::*;
use crate::manifest::{Resource, SourceFile, parse};

/// Filters as a manifest has them.
fn filters(yaml: &str) -> Filters {
    let text = format!(
        "apiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: t }}\nspec: {{ topic: a, function: f, filters: {yaml} }}"
    );
    match parse(&[SourceFile::new("t.yaml", text)]).unwrap().remove(0) {
        Resource::Trigger(trigger) => trigger.spec.filters,
        _ => unreachable!(),
    }
}

#[test]
fn verdicts() {
    fn check(yaml: &str, expect: Option<&str>) {
        let event = Event::builder()
            .id("7")
            .source("/shop/eu")
            .ty("order.created")
            .extension("region", "EU")
            .extension("empty", "")
            .build()
            .unwrap();
        let verdict = filters(yaml).evaluate(&event);
        let failing = match &verdict {
            FilterVerdict::Pass => None,
            FilterVerdict::Fail { first_failing } => Some(first_failing.as_str()),
        };
        assert_eq!(failing, expect, "{yaml}");
        assert_eq!(verdict.passes(), expect.is_none());
    }
    check("[]", None);
    check("[{ exact: { type: order.created } }]", None);
    check("[{ exact: { type: order.created, source: /shop/eu } }]", None);
    check("[{ exact: { type: Order.created } }]", Some("exact type=Order.created"));
    check("[{ exact: { type: order.created, source: /x } }]", Some("exact source=/x"));
    check("[{ exact: { specversion: '1.0' } }]", None);
    check("[{ prefix: { type: order. } }]", None);
    check("[{ prefix: { type: com.x } }]", Some("prefix type=com.x"));
    check("[{ suffix: { type: .created } }]", None);
    check("[{ suffix: { source: /us } }]", Some("suffix source=/us"));
    check("[{ exact: { region: EU } }]", None);
    // Absent is not the empty text: every dialect fails, and `not` of it passes.
    check("[{ exact: { subject: a } }]", Some("exact subject=a"));
    check("[{ prefix: { subject: a } }]", Some("prefix subject=a"));
    check("[{ suffix: { subject: a } }]", Some("suffix subject=a"));
    check("[{ not: { exact: { subject: a } } }]", None);
    check("[{ not: { prefix: { empty: a } } }]", None);
    check("[{ not: { exact: { id: '7' } } }]", Some("not exact id=7"));
    check("[{ all: [{ exact: { id: '7' } }, { prefix: { type: x } }] }]", Some("prefix type=x"));
    check("[{ all: [{ exact: { id: '7' } }, { prefix: { type: o } }] }]", None);
    check("[{ any: [{ exact: { id: '8' } }, { prefix: { type: o } }] }]", None);
    check(
        "[{ any: [{ exact: { id: '8' } }, { not: { prefix: { type: o } } }] }]",
        Some("any[exact id=8, not prefix type=o]"),
    );
    check(
        "[{ not: { all: [{ exact: { id: '7' } }, { not: { exact: { id: '8' } } }] } }]",
        Some("not all[exact id=7, not exact id=8]"),
    );
    check("[{ exact: { id: '7' } }, { exact: { id: '8' } }, { exact: { id: '9' } }]", Some("exact id=8"));
}
