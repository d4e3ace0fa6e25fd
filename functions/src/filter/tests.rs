//! Every dialect against one event, and the words for a failure.

use proptest::prelude::*;

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
    check("[{ cesql: \"type = 'order.created' AND id < 8\" }]", None);
    check("[{ cesql: \"type LIKE 'order.%' AND id > 7\" }]", Some("cesql id > 7"));
    check("[{ cesql: 'id > 7 OR FALSE' }]", Some("cesql id > 7 OR FALSE"));
    check("[{ cesql: 'amount > 7' }]", Some("cesql amount > 7: missingAttribute: the event has no attribute amount"));
    check(
        "[{ cesql: \"id = '7' AND source > 7\" }]",
        Some("cesql source > 7: cast: the String `/shop/eu` is not an Integer (32 bits)"),
    );
    check("[{ cesql: region }]", Some("cesql region: cast: the String `EU` is not a Boolean (true or false)"));
    check("[{ exact: { id: '8' } }, { cesql: amount = 7 }]", Some("exact id=8"));
    check("[{ any: [{ exact: { id: '7' } }, { cesql: amount = 7 }] }]", None);
    check("[{ not: { cesql: amount = 7 } }]", None);
    check("[{ not: { cesql: id = 7 } }]", Some("not cesql id = 7"));
    check(
        "[{ any: [{ exact: { id: '8' } }, { all: [{ exact: { id: '7' } }, { cesql: 'FALSE OR 1 / 0 = 1' }] }] }]",
        Some(
            "any[exact id=8, all[exact id=7, cesql FALSE OR 1 / 0 = 1]], where cesql FALSE OR 1 / 0 = 1: math: division by zero",
        ),
    );
}

/// A tree of filters whose leaves pass, fail or end in an error for [`tree_event`].
#[derive(Debug, Clone)]
enum Tree {
    /// A filter, and `None` when it passes, otherwise what the verdict says of it and whether that is an error.
    Leaf(&'static str, Option<(&'static str, bool)>),
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
}

fn tree_event() -> Event {
    Event::builder().id("7").source("/s").ty("t").build().unwrap()
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let leaves = vec![
        Tree::Leaf(r#"{ "exact": { "id": "7" } }"#, None),
        Tree::Leaf(r#"{ "prefix": { "id": "8" } }"#, Some(("prefix id=8", false))),
        Tree::Leaf(r#"{ "cesql": "id = 7" }"#, None),
        Tree::Leaf(r#"{ "cesql": "id = 8" }"#, Some(("cesql id = 8", false))),
        Tree::Leaf(
            r#"{ "cesql": "n = 1" }"#,
            Some(("cesql n = 1: missingAttribute: the event has no attribute n", true)),
        ),
        Tree::Leaf(r#"{ "cesql": "1 / 0 = 1" }"#, Some(("cesql 1 / 0 = 1: math: division by zero", true))),
    ];
    proptest::sample::select(leaves).prop_recursive(4, 24, 4, |inner| {
        let some = || proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            some().prop_map(Tree::All),
            some().prop_map(Tree::Any),
            inner.prop_map(|tree| Tree::Not(Box::new(tree))),
        ]
    })
}

impl Tree {
    fn json(&self) -> String {
        let list = |trees: &[Self]| trees.iter().map(Self::json).collect::<Vec<_>>().join(", ");
        match self {
            Self::Leaf(json, _) => (*json).to_owned(),
            Self::All(trees) => format!("{{ \"all\": [{}] }}", list(trees)),
            Self::Any(trees) => format!("{{ \"any\": [{}] }}", list(trees)),
            Self::Not(tree) => format!("{{ \"not\": {} }}", tree.json()),
        }
    }

    /// What the verdict says and the error that it mentions, having looked only at what decides: parts behind the
    /// deciding one, and errors of parts that did not decide, are not mentioned.
    fn failure(&self, filter: &Filter) -> Option<(String, Option<String>)> {
        match (self, filter) {
            (Self::Leaf(_, failure), _) => {
                failure.map(|(words, error)| (words.to_owned(), error.then(|| words.to_owned())))
            }
            (Self::All(trees), Filter::All(filters)) => trees.iter().zip(filters).find_map(|(t, f)| t.failure(f)),
            (Self::Any(trees), Filter::Any(filters)) => {
                let failures: Option<Vec<_>> = trees.iter().zip(filters).map(|(t, f)| t.failure(f)).collect();
                let error = failures?.into_iter().find_map(|(_, error)| error);
                let because = error.as_ref().map(|error| format!(", where {error}")).unwrap_or_default();
                Some((format!("{filter}{because}"), error))
            }
            (Self::Not(tree), Filter::Not(inner)) => {
                let passes = tree.failure(inner).is_some();
                (!passes).then(|| (filter.to_string(), None))
            }
            _ => panic!("{filter} was read from something else"),
        }
    }
}

proptest! {
    #[test]
    fn verdicts_stop_at_what_decides(tree in any_tree()) {
        let (filters, event) = (filters(&format!("[{}]", tree.json())), tree_event());
        let expect = tree.failure(&filters.0[0]).map(|(words, _)| words);
        let verdict = match filters.evaluate(&event) {
            FilterVerdict::Pass => None,
            FilterVerdict::Fail { first_failing } => Some(first_failing),
        };
        prop_assert_eq!(&verdict, &expect);
        prop_assert_eq!(filters.0[0].passes(&event), expect.is_none());
    }
}
