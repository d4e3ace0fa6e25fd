//! Rules arranged so that a call meets only those that its values may match. Each rule stands under the rarest of the
//! values that it insists on; what it says beside that is judged when it is met. Rules that insist on nothing that can be
//! looked up are met by every call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use weft_functions::policy::Verb;

use super::field::{Field, Seen};
use super::list::Pattern;
use super::predicate::Predicate;
use super::prefixes::Prefixes;
use super::question::Question;
use super::rule::{Clause, Rule};

/// Rules of one namespace, verb and action that bear on the same targets, by their index among the namespace's rules.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// All of them, ascending.
    all: Box<[u32]>,
    /// Those that stand under no value.
    rest: Box<[u32]>,
    keyed: Box<[Keyed]>,
}

/// Rules by what they want of one field.
#[derive(Debug)]
struct Keyed {
    field: Field,
    exact: HashMap<Arc<str>, Box<[u32]>>,
    prefixes: Prefixes,
    suffixes: Prefixes,
    /// Rules that want anything at all.
    present: Box<[u32]>,
}

/// One value that a rule can be looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key<'r> {
    field: &'r Field,
    wants: Wants<'r>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wants<'r> {
    Exact(&'r Arc<str>),
    Prefix(&'r Arc<str>),
    Suffix(&'r Arc<str>),
    Present,
}

/// Keys of which every call that matches has at least one.
type Keys<'r> = Vec<Key<'r>>;

/// How many rules could stand under each key.
type Counts<'r> = HashMap<Key<'r>, u32>;

/// Several ascending lists of rules.
pub(super) type Lists<'a> = SmallVec<[&'a [u32]; 8]>;

impl Shelf {
    /// Arranges rules, ascending, for calls of `verb`; `unread`: for those whose event is not known.
    pub(super) fn new(rules: &[(u32, &Rule)], verb: Verb, unread: bool) -> Self {
        let mut counts = Counts::new();
        for (_, rule) in rules {
            let clauses = rule.from.iter().chain(&rule.to).flatten().filter(|clause| clause.applies_to(verb));
            let predicates = rule.when.iter().chain(clauses.flat_map(|clause| &clause.fields));
            for key in predicates.filter_map(|predicate| keys_of(predicate, unread)).flatten() {
                *counts.entry(key).or_default() += 1;
            }
        }
        let (mut rest, mut by_key) = (Vec::new(), HashMap::<Key<'_>, Vec<u32>>::new());
        for (index, rule) in rules {
            match rarest(rule, verb, unread, &counts) {
                None => rest.push(*index),
                Some(keys) => keys.into_iter().for_each(|key| by_key.entry(key).or_default().push(*index)),
            }
        }
        let all = rules.iter().map(|(index, _)| *index).collect();
        Self { all, rest: rest.into(), keyed: arranged(by_key) }
    }

    /// All rules, ascending.
    pub(super) fn all(&self) -> &[u32] {
        &self.all
    }

    /// Adds the rules that the question may match.
    pub(super) fn look_up<'a>(&'a self, question: &Question<'_>, lists: &mut Lists<'a>) {
        add(&self.rest, lists);
        for keyed in &self.keyed {
            match keyed.field.read(question) {
                Seen::Text(text) => keyed.look_up(text, lists),
                // Any of them may match what is not known.
                Seen::Unknown => return add(&self.all, lists),
                _ => {}
            }
        }
    }
}

impl Keyed {
    fn look_up<'a>(&'a self, text: &str, lists: &mut Lists<'a>) {
        let text = match self.field {
            Field::Host if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::from(text.to_ascii_lowercase()),
            _ => Cow::from(text),
        };
        if let Some(rules) = self.exact.get(&*text) {
            add(rules, lists);
        }
        lists.extend(self.prefixes.of(&text));
        lists.extend(self.suffixes.of(&text));
        if !text.is_empty() {
            add(&self.present, lists);
        }
    }
}

fn add<'a>(rules: &'a [u32], lists: &mut Lists<'a>) {
    if !rules.is_empty() {
        lists.push(rules);
    }
}

/// Every rule of several ascending lists once, in ascending order.
pub(super) struct InOrder<'a>(pub(super) Lists<'a>);

impl Iterator for InOrder<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let next = self.0.iter().filter_map(|list| list.first().copied()).min()?;
        for list in &mut self.0 {
            if let Some((first, rest)) = list.split_first()
                && *first == next
            {
                *list = rest;
            }
        }
        Some(next)
    }
}

/// The rarest keys by which a rule can be looked up: one of its conditions insists on them, or each of its sources, or
/// each of its operations. `None` if there are none.
fn rarest<'r>(rule: &'r Rule, verb: Verb, unread: bool, counts: &Counts<'r>) -> Option<Keys<'r>> {
    let cost = |keys: &Keys<'r>| keys.iter().map(|key| counts.get(key).copied().unwrap_or(0)).max();
    let of_all = |predicates: &'r [Predicate]| {
        predicates.iter().filter_map(|predicate| keys_of(predicate, unread)).min_by_key(&cost)
    };
    let of_some = |clauses: &'r Option<Box<[Clause]>>| {
        let clauses = clauses.as_deref()?.iter().filter(|clause| clause.applies_to(verb));
        clauses.map(|clause| of_all(&clause.fields)).collect::<Option<Vec<Keys<'r>>>>().map(|keys| keys.concat())
    };
    [of_all(&rule.when), of_some(&rule.from), of_some(&rule.to)].into_iter().flatten().min_by_key(&cost)
}

/// The keys of one field of a rule, if a call that lacks all of them cannot match.
fn keys_of(predicate: &Predicate, unread: bool) -> Option<Keys<'_>> {
    let Predicate { field, any, .. } = predicate;
    if any.is_empty() || !field.is_one_text() || (unread && field.is_of_event()) {
        return None;
    }
    let exact = any.exact().iter().map(Wants::Exact);
    let patterns = any.patterns().iter().map(|pattern| match pattern {
        Pattern::Prefix(text) | Pattern::Template { prefix: text, .. } => Wants::Prefix(text),
        Pattern::Suffix(text) => Wants::Suffix(text),
        Pattern::Present => Wants::Present,
    });
    Some(exact.chain(patterns).map(|wants| Key { field, wants }).collect())
}

fn arranged(by_key: HashMap<Key<'_>, Vec<u32>>) -> Box<[Keyed]> {
    type Rules = Box<[u32]>;
    let mut fields: HashMap<&Field, Vec<(Wants<'_>, Rules)>> = HashMap::new();
    for (Key { field, wants }, mut rules) in by_key {
        rules.dedup();
        fields.entry(field).or_default().push((wants, rules.into()));
    }
    let keyed = fields.into_iter().map(|(field, all)| {
        let (mut exact, mut prefixes, mut suffixes) = (HashMap::new(), Vec::new(), Vec::new());
        let mut present = Rules::default();
        for (wants, rules) in all {
            match wants {
                Wants::Exact(text) => drop(exact.insert(text.clone(), rules)),
                Wants::Prefix(text) => prefixes.push((text.clone(), rules)),
                Wants::Suffix(text) => suffixes.push((text.clone(), rules)),
                Wants::Present => present = rules,
            }
        }
        let (prefixes, suffixes) = (Prefixes::new(prefixes, false), Prefixes::new(suffixes, true));
        Keyed { field: field.clone(), exact, prefixes, suffixes, present }
    });
    keyed.collect()
}
