//! Many filters over the same events: which of them an event may pass, found by its attributes instead of by asking each.
//!
//! Of each filter stands in the index what an event must at least have: an attribute with one of some values, or one that
//! begins with one of some texts. A filter of which nothing like that is known is asked about every event.

use std::collections::{BTreeSet, HashMap};

use super::{Filter, Filters};
use crate::event::Event;

/// Filters by what they need of an event. Their numbers are their places in the list that the index was made of.
#[derive(Debug, Default)]
pub struct FilterIndex {
    exact: HashMap<String, HashMap<String, Vec<usize>>>,
    prefix: HashMap<String, Prefixes>,
    /// Those that are asked about every event.
    always: Vec<usize>,
}

/// Texts with which a value may begin.
#[derive(Debug, Default)]
struct Prefixes {
    /// The lengths there are, in bytes.
    lengths: BTreeSet<usize>,
    by_text: HashMap<String, Vec<usize>>,
}

/// One of these an event must have to pass a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need<'a> {
    /// The attribute with this value.
    Exact(&'a str, &'a str),
    /// The attribute beginning with this.
    Prefix(&'a str, &'a str),
}

impl FilterIndex {
    /// An index of these filters.
    pub fn new<'a>(filters: impl IntoIterator<Item = &'a Filters>) -> Self {
        let mut index = Self::default();
        for (number, filters) in filters.into_iter().enumerate() {
            let Some(needs) = best(filters.0.iter().filter_map(needs)) else {
                index.always.push(number);
                continue;
            };
            for need in needs {
                index.enter(number, &need);
            }
        }
        index
    }

    fn enter(&mut self, number: usize, need: &Need<'_>) {
        let numbers = match *need {
            Need::Exact(attribute, value) => {
                self.exact.entry(attribute.to_owned()).or_default().entry(value.to_owned()).or_default()
            }
            Need::Prefix(attribute, prefix) => {
                let prefixes = self.prefix.entry(attribute.to_owned()).or_default();
                prefixes.lengths.insert(prefix.len());
                prefixes.by_text.entry(prefix.to_owned()).or_default()
            }
        };
        // Two needs of one filter may be the same.
        if numbers.last() != Some(&number) {
            numbers.push(number);
        }
    }

    /// The filters that the event may pass, each once; all others it does not pass.
    pub fn candidates(&self, event: &Event) -> Vec<usize> {
        let mut found = self.always.clone();
        for (attribute, values) in &self.exact {
            found.extend(event.attribute(attribute).and_then(|value| values.get(value)).into_iter().flatten());
        }
        for (attribute, prefixes) in &self.prefix {
            let Some(value) = event.attribute(attribute) else { continue };
            for prefix in
                prefixes.lengths.iter().map_while(|length| (*length <= value.len()).then(|| value.get(..*length)))
            {
                found.extend(prefix.and_then(|prefix| prefixes.by_text.get(prefix)).into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The alternatives of which an event needs one; `None` if nothing is known.
fn needs(filter: &Filter) -> Option<Vec<Need<'_>>> {
    match filter {
        Filter::Exact(conditions) => {
            // `type` tells events apart best; of others any will do.
            let chosen = conditions.iter().find(|condition| condition.attribute == "type").or(conditions.first())?;
            Some(vec![Need::Exact(&chosen.attribute, &chosen.value)])
        }
        Filter::Prefix(conditions) => {
            let longest = conditions.iter().max_by_key(|condition| condition.value.len())?;
            Some(vec![Need::Prefix(&longest.attribute, &longest.value)])
        }
        Filter::All(filters) => best(filters.iter().filter_map(needs)),
        // One of which nothing is known may be the one that passes.
        Filter::Any(filters) => filters.iter().map(needs).collect::<Option<Vec<_>>>().map(|all| all.concat()),
        Filter::Cesql(expression) => {
            let (attribute, value) = expression.required()?;
            Some(vec![Need::Exact(attribute, value)])
        }
        Filter::Suffix(_) | Filter::Not(_) => None,
    }
}

/// The needs that tell events apart best: exact ones, and few.
fn best<'a>(all: impl Iterator<Item = Vec<Need<'a>>>) -> Option<Vec<Need<'a>>> {
    let inexact = |needs: &Vec<Need<'_>>| needs.iter().filter(|need| matches!(need, Need::Prefix(..))).count();
    all.min_by_key(|needs| (inexact(needs), needs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Resource, SourceFile, parse};

    fn filters(text: &str) -> Filters {
        let text = format!(
            "apiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: t }}\n\
             spec: {{ topic: o, url: 'http://x/', filters: [ {text} ] }}\n"
        );
        match parse(&[SourceFile::new("t.yaml", text)]).unwrap().remove(0) {
            Resource::Trigger(trigger) => trigger.spec.filters,
            other => panic!("{other:?}"),
        }
    }

    fn event(ty: &str, subject: &str) -> Event {
        let event = Event::builder().id("1").source("/s").ty(ty.to_owned()).subject(subject.to_owned());
        event.extension("n", "5").build().unwrap()
    }

    const SOME: [&str; 14] = [
        "",
        "{ exact: { type: a } }",
        "{ exact: { subject: x, type: a } }",
        "{ prefix: { type: a } }, { exact: { subject: x } }",
        "{ prefix: { type: a.b, subject: x } }",
        "{ suffix: { type: a } }",
        "{ not: { exact: { type: a } } }",
        "{ any: [ { exact: { type: a } }, { prefix: { subject: x } } ] }",
        "{ any: [ { exact: { type: a } }, { suffix: { subject: x } } ] }",
        "{ all: [ { suffix: { subject: x } }, { exact: { type: a } } ] }",
        "{ cesql: \"type = 'a' AND n > 3\" }",
        "{ cesql: \"n > 3 AND 'x' = subject\" }",
        "{ cesql: \"type = 'a' OR subject = 'x'\" }",
        "{ any: [ { exact: { type: a } }, { exact: { type: b } }, { exact: { type: a } } ] }",
    ];

    #[test]
    fn what_is_no_candidate_does_not_pass() {
        let all: Vec<Filters> = SOME.iter().map(|text| filters(text)).collect();
        let index = FilterIndex::new(&all);
        for ty in ["a", "b", "a.b", "a.b.c", "A", "z", "ä"] {
            for subject in ["x", "xy", "y", "ax"] {
                let event = event(ty, subject);
                let candidates = index.candidates(&event);
                let passing: Vec<usize> = (0..all.len()).filter(|number| all[*number].pass(&event)).collect();
                let missed: Vec<_> = passing.iter().filter(|number| !candidates.contains(number)).collect();
                assert!(missed.is_empty(), "{ty} {subject}: {missed:?} pass and are not found");
            }
        }
    }

    #[test]
    fn few_are_asked() {
        let check = |text: &str, ty: &str, subject: &str, expect: bool| {
            let found = !FilterIndex::new([&filters(text)]).candidates(&event(ty, subject)).is_empty();
            assert_eq!(found, expect, "{text}: {ty} {subject}");
        };
        for always in [SOME[0], SOME[5], SOME[6], SOME[8], SOME[12]] {
            check(always, "z", "z", true);
        }
        for of_a in [SOME[1], SOME[2], SOME[9], SOME[10], SOME[13]] {
            check(of_a, "a", "z", true);
            check(of_a, "z", "x", false);
        }
        for of_x in [SOME[3], SOME[11]] {
            check(of_x, "z", "x", true);
            check(of_x, "a", "z", false);
        }
        check(SOME[4], "a.bc", "z", true);
        check(SOME[4], "a.", "x", false);
        check(SOME[7], "z", "xyz", true);
        check(SOME[7], "z", "z", false);
    }

    #[test]
    fn a_thousand_filters_cost_what_the_matching_ones_cost() {
        let all: Vec<Filters> =
            (0..1_000).map(|number| filters(&format!("{{ exact: {{ type: t{number} }} }}"))).collect();
        let index = FilterIndex::new(&all);
        for number in [0, 1, 500, 999] {
            assert_eq!(index.candidates(&event(&format!("t{number}"), "x")), [number]);
        }
        assert!(index.candidates(&event("t1000", "x")).is_empty());
    }
}
