//! One rule, compiled: at least one of `from`, at least one of `to`, and all of `when` (Istio's AuthorizationPolicy). What
//! is about another verb, or looks at something that the verb does not have, does not apply and so never matches.

use weft_functions::policy::{self as written, Match, Operation, Source, StringMatch, Verb};

use super::field::Field;
use super::list::List;
use super::predicate::{Doubt, Predicate, Truth};
use super::question::Question;

/// A rule that can be judged.
#[derive(Debug)]
pub(super) struct Rule {
    /// `None`: anybody.
    pub(super) from: Option<Box<[Clause]>>,
    /// `None`: anything.
    pub(super) to: Option<Box<[Clause]>>,
    pub(super) when: Box<[Predicate]>,
    verbs: Verbs,
}

/// One `source` or `operation`: all of its fields must hold.
#[derive(Debug)]
pub(super) struct Clause {
    verbs: Verbs,
    pub(super) fields: Box<[Predicate]>,
}

/// A set of verbs.
#[derive(Debug, Clone, Copy)]
struct Verbs(u8);

impl Verbs {
    fn of(applies: impl Fn(Verb) -> bool) -> Self {
        Self(Verb::ALL.into_iter().filter(|verb| applies(*verb)).fold(0, |set, verb| set | 1 << verb as u8))
    }

    fn has(self, verb: Verb) -> bool {
        self.0 & 1 << verb as u8 != 0
    }
}

impl Clause {
    pub(super) fn applies_to(&self, verb: Verb) -> bool {
        self.verbs.has(verb)
    }

    fn judge(&self, question: &Question<'_>, doubt: Doubt) -> Truth {
        all(&self.fields, question, doubt)
    }
}

impl Rule {
    /// Compiles what a person wrote.
    pub(super) fn new(rule: &written::Rule) -> Self {
        let clauses = |list: Vec<Clause>| (!list.is_empty()).then(|| list.into_boxed_slice());
        let from = rule
            .from
            .iter()
            .map(|source| Clause { verbs: Verbs::of(|verb| source.applies_to(verb)), fields: of_source(source) });
        let to = rule.to.iter().map(|operation| Clause {
            verbs: Verbs::of(|verb| operation.applies_to(verb)),
            fields: of_operation(operation),
        });
        let when = rule.when.iter().filter_map(|condition| {
            let field = Field::of(&condition.key)?;
            let key = &condition.key;
            let keys = (format!("values of {key}").into(), format!("notValues of {key}").into());
            Some(Predicate::new(field, List::texts(&condition.values.any), List::texts(&condition.values.none), keys))
        });
        let when: Box<[Predicate]> = when.collect();
        // A condition about a header that no message can have is one that never holds.
        let whole = when.len() == rule.when.len();
        Self {
            from: clauses(from.collect()),
            to: clauses(to.collect()),
            when,
            verbs: Verbs::of(|verb| whole && rule.applies_to(verb)),
        }
    }

    /// Whether some call of this verb may match.
    pub(super) fn applies_to(&self, verb: Verb) -> bool {
        self.verbs.has(verb)
    }

    /// Whether it is about what an event says, in a call of this verb.
    pub(super) fn reads(&self, verb: Verb) -> impl Iterator<Item = &Field> {
        let clauses = self.from.iter().chain(&self.to).flatten().filter(move |clause| clause.applies_to(verb));
        self.when.iter().chain(clauses.flat_map(|clause| &clause.fields)).map(|predicate| &predicate.field)
    }

    /// Whether the question matches.
    pub(super) fn judge(&self, question: &Question<'_>, doubt: Doubt) -> Truth {
        if !self.applies_to(question.verb) {
            return Truth::No;
        }
        let from = some(self.from.as_deref(), question, doubt);
        if from == Truth::No {
            return Truth::No;
        }
        let to = some(self.to.as_deref(), question, doubt);
        if to == Truth::No {
            return Truth::No;
        }
        from.min(to).min(all(&self.when, question, doubt))
    }

    /// Why the rule is judged so, in words: the first field that does not hold.
    pub(super) fn why(&self, question: &Question<'_>, doubt: Doubt) -> String {
        let verb = question.verb;
        if !self.applies_to(verb) {
            return format!("it does not apply to {}", verb.as_str());
        }
        let parts = [(self.from.as_deref(), "from"), (self.to.as_deref(), "to")];
        for (clauses, name) in parts {
            if some(clauses, question, doubt) != Truth::Yes {
                return why_none(clauses.unwrap_or_default(), name, question, doubt);
            }
        }
        let failing = self.when.iter().find(|predicate| predicate.judge(question, doubt) != Truth::Yes);
        failing.map_or_else(|| "it matches".to_owned(), |predicate| predicate.why(question, doubt))
    }
}

fn all(predicates: &[Predicate], question: &Question<'_>, doubt: Doubt) -> Truth {
    let mut all = Truth::Yes;
    for predicate in predicates {
        all = all.min(predicate.judge(question, doubt));
        if all == Truth::No {
            break;
        }
    }
    all
}

fn some(clauses: Option<&[Clause]>, question: &Question<'_>, doubt: Doubt) -> Truth {
    let Some(clauses) = clauses else { return Truth::Yes };
    let mut some = Truth::No;
    for clause in clauses.iter().filter(|clause| clause.applies_to(question.verb)) {
        some = some.max(clause.judge(question, doubt));
        if some == Truth::Yes {
            break;
        }
    }
    some
}

/// Why none of several clauses holds: of each the first field that does not.
fn why_none(clauses: &[Clause], name: &str, question: &Question<'_>, doubt: Doubt) -> String {
    const SHOWN: usize = 3;
    let applying: Vec<&Clause> = clauses.iter().filter(|clause| clause.applies_to(question.verb)).collect();
    let whys = applying.iter().filter_map(|clause| {
        let failing = clause.fields.iter().find(|predicate| predicate.judge(question, doubt) != Truth::Yes)?;
        Some(failing.why(question, doubt))
    });
    let whys: Vec<String> = whys.take(SHOWN).collect();
    match applying.len() {
        1 => whys.concat(),
        count if count > SHOWN => format!("none of the {count} entries of {name}: {}; …", whys.join("; ")),
        count => format!("none of the {count} entries of {name}: {}", whys.join("; ")),
    }
}

fn of_source(source: &Source) -> Box<[Predicate]> {
    let texts = |field, any: &'static str, none: &'static str, values: &Match<StringMatch>| {
        let keys = (any.into(), none.into());
        (!values.is_empty()).then(|| Predicate::new(field, List::texts(&values.any), List::texts(&values.none), keys))
    };
    let blocks = &source.ip_blocks;
    let address = (!blocks.is_empty()).then(|| {
        let keys = ("ipBlocks".into(), "notIpBlocks".into());
        Predicate::new(Field::Address, List::blocks(&blocks.any), List::blocks(&blocks.none), keys)
    });
    let fields = [
        texts(Field::Principal, "principals", "notPrincipals", &source.principals),
        texts(Field::AuthPrincipal, "requestPrincipals", "notRequestPrincipals", &source.request_principals),
        texts(Field::Namespace, "namespaces", "notNamespaces", &source.namespaces),
        texts(Field::Origin, "origins", "notOrigins", &source.origins),
        address,
    ];
    fields.into_iter().flatten().collect()
}

fn of_operation(operation: &Operation) -> Box<[Predicate]> {
    type Compile = fn(&[StringMatch]) -> List;
    let matches = |field, any: &'static str, none: &'static str, values: &Match<StringMatch>, list: Compile| {
        let keys = (any.into(), none.into());
        (!values.is_empty()).then(|| Predicate::new(field, list(&values.any), list(&values.none), keys))
    };
    let paths = &operation.paths;
    let path = (!paths.is_empty()).then(|| {
        let keys = ("paths".into(), "notPaths".into());
        Predicate::new(Field::Path, List::paths(&paths.any), List::paths(&paths.none), keys)
    });
    let attribute = |name: &'static str| Field::Attribute(name.into());
    let fields = [
        matches(Field::Host, "hosts", "notHosts", &operation.hosts, List::hosts),
        matches(Field::Method, "methods", "notMethods", &operation.methods, List::texts),
        path,
        matches(Field::Topic, "topics", "notTopics", &operation.topics, List::texts),
        matches(Field::Function, "functions", "notFunctions", &operation.functions, List::texts),
        matches(attribute("type"), "types", "notTypes", &operation.types, List::texts),
        matches(attribute("source"), "sources", "notSources", &operation.sources, List::texts),
    ];
    fields.into_iter().flatten().collect()
}
