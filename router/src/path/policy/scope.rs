//! What holds in one namespace: its policies, compiled and arranged, its default, and the sources that its workloads may
//! publish under. Built anew only when something of it changes; otherwise snapshots share it.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use weft_functions::manifest::{Kind, Location};
use weft_functions::namespace::SourcePrefix;
use weft_functions::policy::{Action, Policy, RuleField, Verb};
use weft_functions::value::Name;

use super::explain::Phase;
use super::field::Field;
use super::index::Default;
use super::permit::RuleRef;
use super::predicate::{Doubt, Truth};
use super::question::Question;
use super::rule::Rule;
use super::shelf::{InOrder, Lists, Shelf};
use crate::path::call::Target;

/// What a namespace's documents say about policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Its policies, in the order of their names.
    pub policies: Vec<Arc<Policy>>,
    /// What holds where no ALLOW selects; `None` (default): what the node says.
    pub default: Option<Default>,
    /// What the sources of events that its workloads publish must begin with; empty (default): anything.
    pub source_prefixes: Vec<SourcePrefix>,
}

/// One namespace, ready to be asked.
#[derive(Debug)]
pub(super) struct Scope {
    /// What it was made of.
    written: Rules,
    /// `ns/name` of each policy.
    names: Box<[Arc<str>]>,
    /// All rules, in the order of their policies.
    rules: Box<[Compiled]>,
    /// By action and verb; the second for calls whose event is not known.
    books: [[[Option<Book>; 2]; Verb::ALL.len()]; 3],
    /// By verb: what its rules look at.
    reads: [Box<[Field]>; Verb::ALL.len()],
}

#[derive(Debug)]
struct Compiled {
    policy: u32,
    /// Counted from 0 within its policy.
    number: u32,
    rule: Rule,
}

/// The rules of one action for one verb.
#[derive(Debug, Default)]
struct Book {
    /// Of policies without targets.
    everywhere: Option<Section>,
    /// Of policies that name targets.
    at: HashMap<Name, Vec<(Kind, Section)>>,
}

/// The rules that bear on the same targets.
#[derive(Debug, Default)]
pub(super) struct Section {
    shelf: Shelf,
    /// ALLOW policies without rules: they select and allow nobody.
    ruleless: Box<[u32]>,
}

/// The sections that a question meets: of everything, of its target, and of its trigger.
pub(super) type Sections<'a> = SmallVec<[&'a Section; 3]>;

impl Scope {
    pub(super) fn new(written: Rules) -> Self {
        let of = |policy: &Arc<Policy>| Arc::from(policy.metadata.namespaced().to_string());
        let names = written.policies.iter().map(of).collect();
        let compiled = written.policies.iter().zip(0..).flat_map(|(policy, index)| {
            let rules = policy.spec.rules.iter().zip(0..);
            rules.map(move |(rule, number)| Compiled { policy: index, number, rule: Rule::new(rule) })
        });
        let rules: Box<[Compiled]> = compiled.collect();
        let book = |action, verb, unread| Book::new(&written.policies, &rules, action, verb, unread);
        let books = [Action::Deny, Action::Audit, Action::Allow].map(|action| {
            Verb::ALL.map(|verb| {
                let unread = verb.has(RuleField::EventAttributes).then(|| book(action, verb, true)).flatten();
                [book(action, verb, false), unread]
            })
        });
        let reads = Verb::ALL.map(|verb| {
            let mut fields: Vec<Field> = Vec::new();
            let applying = rules.iter().filter(|compiled| compiled.rule.applies_to(verb));
            for field in applying.flat_map(|compiled| compiled.rule.reads(verb)) {
                if !fields.contains(field) {
                    fields.push(field.clone());
                }
            }
            fields.into()
        });
        Self { written, names, rules, books, reads }
    }

    /// What it was made of.
    pub(super) fn written(&self) -> &Rules {
        &self.written
    }

    /// What the rules of one verb look at.
    pub(super) fn reads(&self, verb: Verb) -> &[Field] {
        &self.reads[verb as usize]
    }

    /// The sections that bear on the question. `own`: whether the target lies in this namespace.
    pub(super) fn sections(&self, phase: Phase, question: &Question<'_>, own: bool) -> Sections<'_> {
        let mut sections = Sections::new();
        let unread = question.event.is_none() && question.verb.has(RuleField::EventAttributes);
        let books = match phase {
            Phase::Deny => &self.books[0],
            Phase::Audit => &self.books[1],
            Phase::Allow => &self.books[2],
            Phase::Default => return sections,
        };
        let Some(book) = &books[question.verb as usize][usize::from(unread)] else { return sections };
        sections.extend(&book.everywhere);
        if own && !book.at.is_empty() {
            let aims = [aim(question), trigger(question)];
            for (kind, name) in aims.into_iter().flatten() {
                let there = book.at.get(name).into_iter().flatten();
                sections.extend(there.filter(|(of, _)| *of == kind).map(|(_, section)| section));
            }
        }
        sections
    }

    /// The rules of the sections that the question may match, in their order.
    pub(super) fn candidates<'a>(sections: &[&'a Section], question: &Question<'_>) -> InOrder<'a> {
        let mut lists = Lists::new();
        for section in sections {
            section.shelf.look_up(question, &mut lists);
        }
        InOrder(lists)
    }

    /// Judges one rule.
    pub(super) fn judge(&self, rule: u32, question: &Question<'_>, doubt: Doubt) -> Truth {
        self.rules.get(rule as usize).map_or(Truth::No, |compiled| compiled.rule.judge(question, doubt))
    }

    /// Why a rule is judged so.
    pub(super) fn why(&self, rule: u32, question: &Question<'_>, doubt: Doubt) -> String {
        self.rules.get(rule as usize).map(|compiled| compiled.rule.why(question, doubt)).unwrap_or_default()
    }

    /// The policy that a rule is of, and its number there.
    pub(super) fn place(&self, rule: u32) -> Option<(u32, u32)> {
        self.rules.get(rule as usize).map(|compiled| (compiled.policy, compiled.number))
    }

    /// Names a rule for people.
    pub(super) fn rule_ref(&self, rule: u32) -> RuleRef {
        let (policy, rule) = self.place(rule).unwrap_or_default();
        RuleRef { policy: self.names.get(policy as usize).cloned().unwrap_or_default(), rule }
    }

    /// The name of a policy, and where it or one of its rules is written.
    pub(super) fn policy(&self, policy: u32, rule: Option<u32>) -> Option<(&Arc<str>, &Location)> {
        let written = self.written.policies.get(policy as usize)?;
        let line = rule.and_then(|rule| written.rule_locations.get(rule as usize));
        Some((self.names.get(policy as usize)?, line.unwrap_or(&written.location)))
    }

    /// Whether its workloads may publish an event of this source.
    pub(super) fn admits(&self, source: &str) -> bool {
        let prefixes = &self.written.source_prefixes;
        prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.admits(source))
    }
}

impl Section {
    /// All of its rules, ascending.
    pub(super) fn all(&self) -> &[u32] {
        self.shelf.all()
    }

    /// Its policies without rules.
    pub(super) fn ruleless(&self) -> &[u32] {
        &self.ruleless
    }
}

impl Book {
    /// `None` if there is nothing to it.
    fn new(policies: &[Arc<Policy>], rules: &[Compiled], action: Action, verb: Verb, unread: bool) -> Option<Self> {
        let mut everywhere = Draft::default();
        let mut at: HashMap<(Kind, &Name), Draft<'_>> = HashMap::new();
        let mut rules = rules.iter().zip(0..).peekable();
        for (policy, index) in policies.iter().zip(0..) {
            let mut applying = Vec::new();
            while let Some((compiled, rule)) = rules.next_if(|(compiled, _)| compiled.policy == index) {
                if compiled.rule.applies_to(verb) {
                    applying.push((rule, &compiled.rule));
                }
            }
            let ruleless = action == Action::Allow && policy.spec.rules.is_empty() && Verb::TRAFFIC.contains(&verb);
            if policy.spec.action != action || (applying.is_empty() && !ruleless) {
                continue;
            }
            let ruleless = ruleless.then_some(index);
            if policy.spec.targets.is_empty() {
                everywhere.put(&applying, ruleless);
            }
            for target in policy.spec.targets.iter().filter(|target| verb.applies_to(target.kind)) {
                at.entry((target.kind, &target.name)).or_default().put(&applying, ruleless);
            }
        }
        let mut book = Self { everywhere: everywhere.section(verb, unread), at: HashMap::new() };
        for ((kind, name), draft) in at {
            book.at.entry(name.clone()).or_default().extend(draft.section(verb, unread).map(|section| (kind, section)));
        }
        (book.everywhere.is_some() || !book.at.is_empty()).then_some(book)
    }
}

/// A section in the making.
#[derive(Default)]
struct Draft<'r> {
    rules: Vec<(u32, &'r Rule)>,
    ruleless: Vec<u32>,
}

impl<'r> Draft<'r> {
    fn put(&mut self, rules: &[(u32, &'r Rule)], ruleless: Option<u32>) {
        self.rules.extend_from_slice(rules);
        self.ruleless.extend(ruleless);
    }

    fn section(mut self, verb: Verb, unread: bool) -> Option<Section> {
        // A policy that names a target twice would bring its rules twice.
        self.rules.dedup_by_key(|(rule, _)| *rule);
        self.ruleless.dedup();
        let some = !self.rules.is_empty() || !self.ruleless.is_empty();
        some.then(|| Section { shelf: Shelf::new(&self.rules, verb, unread), ruleless: self.ruleless.into() })
    }
}

/// The resource that the call is aimed at, or that reaches outside, as `targets` name it.
fn aim<'q>(question: &Question<'q>) -> Option<(Kind, &'q Name)> {
    match question.target {
        Target::Function(name) => Some((Kind::Function, &name.name)),
        Target::Topic(name) | Target::Subscription(name) => Some((Kind::Topic, &name.name)),
        Target::Outside(outside) => Some((outside.owner_kind, &outside.owner.name)),
        Target::Resource(id) => Some((id.kind, &id.name)),
        Target::Namespace(_) | Target::Nowhere(_) => None,
    }
}

/// The trigger that reads or delivers, where it is of the same namespace as what it is about.
fn trigger<'q>(question: &Question<'q>) -> Option<(Kind, &'q Name)> {
    let through = matches!(question.target, Target::Function(_) | Target::Subscription(_));
    let trigger = question.trigger.filter(|_| through && question.verb.applies_to(Kind::Trigger))?;
    (Some(&trigger.namespace) == question.namespace()).then_some((Kind::Trigger, &trigger.name))
}
