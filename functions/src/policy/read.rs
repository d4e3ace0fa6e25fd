//! Reads a Policy's spec and notes every mistake in it.
//!
//! What this version cannot judge is refused, never skipped: a condition that is silently ignored opens a door.

use super::{Action, Match, Operation, Policy, PolicySpec, Rule, Source, StringMatch, Target, Verb};
use crate::manifest::{Code, Field, Findings, Kind, Location, Metadata, Reference, Role, Section};
use crate::value::Namespaced;

const KEYS: [&str; 3] = ["action", "targets", "rules"];
const LATER_KEYS: [&str; 4] = ["selector", "targetRefs", "targetRef", "provider"];
const TARGET_KEYS: [&str; 3] = ["function", "topic", "trigger"];
const RULE_KEYS: [&str; 2] = ["from", "to"];
const SOURCE_KEYS: [&str; 2] = ["principals", "notPrincipals"];
const LATER_SOURCE_KEYS: [&str; 16] = [
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    "trustDomains",
    "notTrustDomains",
    "origins",
    "notOrigins",
    "via",
    "notVia",
];
const OPERATION_KEYS: [&str; 1] = ["verbs"];
const LATER_OPERATION_KEYS: [&str; 15] = [
    "notVerbs",
    "hosts",
    "notHosts",
    "ports",
    "notPorts",
    "methods",
    "notMethods",
    "paths",
    "notPaths",
    "types",
    "notTypes",
    "sources",
    "notSources",
    "subjects",
    "notSubjects",
];

/// Entries of `targets`; Istio allows 16 `targetRefs`, a namespace of functions is larger.
const TARGETS: usize = 256;

/// Rules of one policy, and entries of `from` and `to` of one rule.
const RULES: usize = 256;

/// Entries of one list of principals.
const PRINCIPALS: usize = 4_096;

impl Policy {
    pub(crate) fn read(metadata: Metadata, location: Location, spec: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let spec = spec.section_of(&KEYS, &LATER_KEYS, out);
        let action = spec.get("action").and_then(|field| read_action(&field, out)).unwrap_or(Action::Allow);
        let mut targets = Vec::new();
        let mut references = Vec::new();
        for field in spec.get("targets").map(|field| field.at_most(TARGETS, out)).unwrap_or_default() {
            let Some((target, name_field)) = read_target(&field, out) else { continue };
            let to = Namespaced::new(metadata.namespace.clone(), target.name.clone());
            references.push(Reference::new(Role::Binds, target.kind, &to, &name_field, out));
            targets.push(target);
        }
        let rules = spec.get("rules").map(|field| field.at_most(RULES, out)).unwrap_or_default();
        let rules = rules.iter().map(|field| read_rule(field, &targets, out)).collect();
        Self { metadata, spec: PolicySpec { action, targets, rules }, location, references }
    }
}

fn read_action(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Action> {
    if field.is_text("AUDIT") {
        let message = "`action: AUDIT` is not supported in this version: use ALLOW or DENY";
        field.report(Code::Unsupported, message, out);
        return None;
    }
    field.choice(&[("ALLOW", Action::Allow), ("DENY", Action::Deny)], out)
}

/// `{ function: NAME }`, `{ topic: NAME }` or `{ trigger: NAME }`.
fn read_target<'a>(field: &Field<'a>, out: &mut Findings<'_>) -> Option<(Target, Field<'a>)> {
    let target = field.section(&TARGET_KEYS, out);
    let kinds = [Kind::Function, Kind::Topic, Kind::Trigger];
    let given: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind, target.get(kind.singular())?))).collect();
    match given.as_slice() {
        [(kind, name_field)] => {
            let name = name_field.name_in(out)?;
            Some((Target { kind: *kind, name }, name_field.clone()))
        }
        [] if target.is_absent() => None,
        _ => {
            let message = format!("`{}` must have exactly one of function, topic, trigger", field.path());
            field.report(Code::BadValue, message, out);
            None
        }
    }
}

fn read_rule(field: &Field<'_>, targets: &[Target], out: &mut Findings<'_>) -> Rule {
    let noted = out.count();
    let section = field.section_of(&RULE_KEYS, &["when"], out);
    let from = read_each("from", "source", &section, out, |source, out| {
        let source = source.section_of(&SOURCE_KEYS, &LATER_SOURCE_KEYS, out);
        refuse_empty(&source, &SOURCE_KEYS, out);
        let any = read_principals("principals", &source, out);
        let principals = Match { any, none: read_principals("notPrincipals", &source, out) };
        Source { principals, ..Source::default() }
    });
    let to = read_each("to", "operation", &section, out, |operation, out| {
        let operation = operation.section_of(&OPERATION_KEYS, &LATER_OPERATION_KEYS, out);
        refuse_empty(&operation, &OPERATION_KEYS, out);
        Operation { verbs: read_verbs(&operation, out), ..Operation::default() }
    });
    let rule = Rule { from, to, when: Vec::new() };
    // Only a rule without mistakes: a verb that could not be read would be missed here.
    if out.count() == noted && !can_apply(&rule, targets) {
        let message = "no verb of this rule can be done to any target of the policy, so it would never match";
        field.report(Code::BadValue, message, out);
    }
    rule
}

/// The entries of `from` or `to`, each of which wraps its fields in one key, as Istio has it.
fn read_each<T>(
    key: &str,
    inner: &str,
    rule: &Section<'_>,
    out: &mut Findings<'_>,
    read: impl Fn(&Field<'_>, &mut Findings<'_>) -> T,
) -> Vec<T> {
    let entries = rule.get(key).map(|field| field.some(RULES, out)).unwrap_or_default();
    let mut all = Vec::new();
    for entry in &entries {
        let Some(fields) = entry.section(&[inner], out).require(inner, out) else { continue };
        all.push(read(&fields, out));
    }
    all
}

/// Refuses a `source` or `operation` that names nothing: it would match everybody and everything.
fn refuse_empty(section: &Section<'_>, keys: &[&str], out: &mut Findings<'_>) {
    if !section.is_absent() && section.is_empty() {
        section.report(Code::MissingKey, format!("this matches everything: name {}", keys.join(" or ")), out);
    }
}

fn read_principals(key: &str, source: &Section<'_>, out: &mut Findings<'_>) -> Vec<StringMatch> {
    let entries = source.get(key).map(|field| field.some(PRINCIPALS, out)).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.parsed(Code::BadValue, out)).collect()
}

fn read_verbs(operation: &Section<'_>, out: &mut Findings<'_>) -> Vec<Verb> {
    let entries = operation.get("verbs").map(|field| field.some(Verb::ALL.len(), out)).unwrap_or_default();
    let choices = Verb::ALL.map(|verb| (verb.as_str(), verb));
    entries.iter().filter_map(|entry| entry.choice(&choices, out)).collect()
}

/// Whether some verb of the rule can be done to some target.
fn can_apply(rule: &Rule, targets: &[Target]) -> bool {
    let possible = |verb: &Verb| targets.iter().any(|target| verb.applies_to(target.kind));
    targets.is_empty() || rule.to.is_empty() || rule.to.iter().flat_map(|to| &to.verbs).any(possible)
}
