//! Finds what can never match in a rule whose every value is well formed. Such a rule is not what its author meant: an
//! ALLOW of it allows nobody, and a DENY of it, which is worse, denies nothing. Pure, and careful in one direction only:
//! what it names matches nothing, what it does not name may match nothing all the same.

use super::{ConditionKey, Match, Operation, Rule, RuleField, Source, StringMatch, Target, Verb};
use crate::manifest::Kind;
use crate::value::Name;

/// Pairs of values that are compared to see whether two lists have something in common; of longer lists it is assumed.
const PAIRS: usize = 1 << 20;

/// A part of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Rule,
    /// This entry of `from`.
    Source(usize),
    /// This entry of `to`.
    Operation(usize),
    /// This entry of `when`.
    Condition(usize),
}

/// A part of a rule that can never match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Never {
    /// Which part.
    pub(super) part: Part,
    /// Why not.
    pub(super) why: String,
}

/// Everything in the rule, of a policy with these targets, that can never match.
pub(super) fn never(rule: &Rule, targets: &[Target]) -> Vec<Never> {
    let mut found = Vec::new();
    let verbs = verbs(rule, targets, &mut found);
    // What can be said of sources follows from the verbs that are left.
    if found.is_empty() {
        for (index, source) in rule.from.iter().enumerate() {
            if !verbs.iter().any(|verb| source.applies_to(*verb)) {
                found.push(Never { part: Part::Source(index), why: lacking(&verbs, source.fields().collect()) });
            }
        }
    }
    for (index, operation) in rule.to.iter().enumerate() {
        found.extend(nothing_left(operation).map(|why| Never { part: Part::Operation(index), why }));
    }
    contradictions(rule, &mut found);
    found
}

/// The verbs with which some operation can match.
fn verbs(rule: &Rule, targets: &[Target], found: &mut Vec<Never>) -> Vec<Verb> {
    let mut verbs = Vec::new();
    let mut add = |part: Part, operation: &Operation| match verbs_of(operation, rule, targets) {
        Ok(more) => verbs.extend(more),
        Err(why) => found.push(Never { part, why }),
    };
    if rule.to.is_empty() {
        add(Part::Rule, &Operation::default());
    }
    for (index, operation) in rule.to.iter().enumerate() {
        add(Part::Operation(index), operation);
    }
    verbs
}

/// The verbs with which this operation can match, or why there is none.
fn verbs_of(operation: &Operation, rule: &Rule, targets: &[Target]) -> Result<Vec<Verb>, String> {
    let meant = operation.meant().to_vec();
    let conditions = rule.when.iter().map(|condition| condition.key.field());
    let fields: Vec<RuleField> = operation.fields().chain(conditions).collect();
    let having =
        left(&meant, |verb| fields.iter().all(|field| verb.has(*field))).ok_or_else(|| lacking(&meant, fields))?;
    let asked = left(&having, |verb| rule.from.is_empty() || rule.from.iter().any(|source| source.applies_to(verb)));
    let asked = asked.ok_or_else(|| lacking(&having, rule.from.iter().flat_map(Source::fields).collect()))?;
    let applying = left(&asked, |verb| kinds(targets).iter().any(|kind| verb.applies_to(*kind)));
    let applying = applying.ok_or_else(|| {
        format!("{} cannot be done to any target of the policy", words(asked.iter().map(|verb| verb.as_str()), "or"))
    })?;
    let named = left(&applying, |verb| candidates(targets).any(|(kind, name)| is_named(operation, verb, kind, name)));
    let named = named.ok_or_else(|| match targets {
        [] => "`topics` and `functions` are both given, and a call has one target".to_owned(),
        _ => "`topics` or `functions` name none of the policy's targets".to_owned(),
    })?;
    let post = |verb: Verb| verb != Verb::Deliver || operation.methods.is_empty() || allows(&operation.methods, "POST");
    left(&named, post).ok_or_else(|| "the method of a delivery is POST".to_owned())
}

/// The verbs of which it holds; `None` if there is none.
fn left(verbs: &[Verb], holds: impl Fn(Verb) -> bool) -> Option<Vec<Verb>> {
    let left: Vec<Verb> = verbs.iter().copied().filter(|verb| holds(*verb)).collect();
    (!left.is_empty()).then_some(left)
}

/// The kinds of what the policy binds.
fn kinds(targets: &[Target]) -> Vec<Kind> {
    candidates(targets).map(|(kind, _)| kind).collect()
}

/// What the policy binds: its targets, or everything.
fn candidates(targets: &[Target]) -> impl Iterator<Item = (Kind, Option<&Name>)> {
    let everything = Kind::ALL.into_iter().filter(|_| targets.is_empty()).map(|kind| (kind, None));
    everything.chain(targets.iter().map(|target| (target.kind, Some(&target.name))))
}

/// Whether the target's name is meant. A trigger stands for its topic when it consumes, and for its function when it
/// delivers.
fn is_named(operation: &Operation, verb: Verb, kind: Kind, name: Option<&Name>) -> bool {
    let fits = |names: &Match<StringMatch>, own: Kind, through: Verb| {
        names.is_empty()
            || (kind == own && name.is_none_or(|name| allows(names, name.as_str())))
            || (kind == Kind::Trigger && verb == through)
    };
    verb.applies_to(kind)
        && fits(&operation.topics, Kind::Topic, Verb::Consume)
        && fits(&operation.functions, Kind::Function, Verb::Deliver)
}

fn allows(values: &Match<StringMatch>, text: &str) -> bool {
    (values.any.is_empty() || values.any.iter().any(|value| value.matches(text)))
        && !values.none.iter().any(|value| value.matches(text))
}

/// Which field it is that none of the verbs has, and which verbs have it.
fn lacking(verbs: &[Verb], mut fields: Vec<RuleField>) -> String {
    fields.sort_unstable();
    fields.dedup();
    let missing = fields.iter().find(|field| !verbs.iter().any(|verb| verb.has(**field)));
    let Some(field) = missing else {
        let fields = words(fields.iter().map(|field| field.as_str()), "and");
        return format!("no verb here has all of {fields}");
    };
    let having = Verb::ALL.into_iter().filter(|verb| verb.has(*field)).map(Verb::as_str);
    let lacking = words(verbs.iter().map(|verb| verb.as_str()), "and");
    let have = if verbs.len() == 1 { "has" } else { "have" };
    format!("{lacking} {have} no {}, which goes with {}", field.as_str(), words(having, "and"))
}

/// `a`, `a or b`, `a, b or c`.
fn words<'a>(words: impl Iterator<Item = &'a str>, last: &str) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// A `not…` list that excludes every value of what every call with the field has.
fn nothing_left(operation: &Operation) -> Option<String> {
    let texts = [
        ("notHosts", &operation.hosts),
        ("notMethods", &operation.methods),
        ("notTopics", &operation.topics),
        ("notFunctions", &operation.functions),
        ("notTypes", &operation.types),
        ("notSources", &operation.sources),
    ];
    let excluded =
        texts.into_iter().find(|(_, values)| values.none.contains(&StringMatch::Present)).map(|(key, _)| key);
    let paths = operation.paths.none.iter().any(super::PathMatch::covers_all).then_some("notPaths");
    let key = excluded.or(paths)?;
    Some(format!("`{key}` excludes everything"))
}

/// Fields that say the same in two places, and have nothing in common.
fn contradictions(rule: &Rule, found: &mut Vec<Never>) {
    for (index, source) in rule.from.iter().enumerate() {
        found.extend(source_alone(source).map(|why| Never { part: Part::Source(index), why }));
    }
    for (at, condition) in rule.when.iter().enumerate() {
        if condition.key.is_list() {
            continue;
        }
        let values = &condition.values.any;
        let against = |field: &str, other: &[StringMatch], part: Part| {
            let why = || format!("`{field}` and `{}` have no value in common", condition.key);
            disjoint(values, other).then(|| Never { part, why: why() })
        };
        for (index, source) in rule.from.iter().enumerate() {
            let other = same_of_source(&condition.key, source);
            found.extend(other.and_then(|(field, other)| against(field, &other.any, Part::Source(index))));
            found.extend(namespace_apart(&condition.key, values, source, Part::Source(index)));
        }
        for (index, operation) in rule.to.iter().enumerate() {
            let other = same_of_operation(&condition.key, operation);
            found.extend(other.and_then(|(field, other)| against(field, &other.any, Part::Operation(index))));
        }
        let twice = rule.when.iter().take(at).find(|before| before.key == condition.key);
        let key = condition.key.to_string();
        found.extend(twice.and_then(|before| against(&key, &before.values.any, Part::Condition(at))));
    }
}

fn same_of_source<'a>(key: &ConditionKey, source: &'a Source) -> Option<(&'static str, &'a Match<StringMatch>)> {
    match key {
        ConditionKey::SourcePrincipal => Some(("principals", &source.principals)),
        ConditionKey::SourceNamespace => Some(("namespaces", &source.namespaces)),
        ConditionKey::OriginPrincipal => Some(("origins", &source.origins)),
        ConditionKey::AuthPrincipal => Some(("requestPrincipals", &source.request_principals)),
        _ => None,
    }
}

fn same_of_operation<'a>(
    key: &ConditionKey,
    operation: &'a Operation,
) -> Option<(&'static str, &'a Match<StringMatch>)> {
    match key {
        ConditionKey::EventAttribute(name) if name == "type" => Some(("types", &operation.types)),
        ConditionKey::EventAttribute(name) if name == "source" => Some(("sources", &operation.sources)),
        _ => None,
    }
}

/// The namespace is part of the principal.
fn source_alone(source: &Source) -> Option<String> {
    let apart = in_other_namespaces(&source.principals.any, &source.namespaces.any);
    apart.then(|| "no one of `principals` is in one of `namespaces`".to_owned())
}

fn namespace_apart(key: &ConditionKey, values: &[StringMatch], source: &Source, part: Part) -> Option<Never> {
    let apart = match key {
        ConditionKey::SourceNamespace => in_other_namespaces(&source.principals.any, values),
        ConditionKey::SourcePrincipal => in_other_namespaces(values, &source.namespaces.any),
        _ => false,
    };
    apart.then(|| Never { part, why: "no such principal is in such a namespace".to_owned() })
}

/// Whether all principals are exact, and none of them is in any of the namespaces.
fn in_other_namespaces(principals: &[StringMatch], namespaces: &[StringMatch]) -> bool {
    if principals.is_empty() || namespaces.is_empty() || principals.len().saturating_mul(namespaces.len()) > PAIRS {
        return false;
    }
    principals.iter().all(|principal| {
        let StringMatch::Exact(id) = principal else { return false };
        let own = namespace_of(id);
        !namespaces.iter().any(|namespace| own.is_some_and(|own| namespace.matches(own)))
    })
}

/// The namespace of `spiffe://TD/ns/NAMESPACE/…`.
fn namespace_of(id: &str) -> Option<&str> {
    let (_, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    path.strip_prefix("ns/")?.split_once('/').map(|(namespace, _)| namespace)
}

/// Whether no value is in both lists, each of which asks for some.
fn disjoint(a: &[StringMatch], b: &[StringMatch]) -> bool {
    !a.is_empty()
        && !b.is_empty()
        && a.len().saturating_mul(b.len()) <= PAIRS
        && !a.iter().any(|a| b.iter().any(|b| a.overlaps(b)))
}
