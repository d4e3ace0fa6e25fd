//! Reads one rule: its sources, operations and conditions.

use super::form;
use super::values::read_match;
use crate::manifest::{Code, Field, Findings, Section};
use crate::policy::never::{Part, never};
use crate::policy::{Condition, ConditionKey, Operation, Rule, Source, Target, Verb};

const KEYS: [&str; 3] = ["from", "to", "when"];
const SOURCE_KEYS: [&str; 10] = [
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "origins",
    "notOrigins",
    "ipBlocks",
    "notIpBlocks",
];
const OPERATION_KEYS: [&str; 15] = [
    "verbs",
    "hosts",
    "notHosts",
    "methods",
    "notMethods",
    "paths",
    "notPaths",
    "topics",
    "notTopics",
    "functions",
    "notFunctions",
    "types",
    "notTypes",
    "sources",
    "notSources",
];
const CONDITION_KEYS: [&str; 3] = ["key", "values", "notValues"];

/// Fields of Istio's that weft does not have.
const LATER_SOURCE_KEYS: [&str; 6] =
    ["serviceAccounts", "notServiceAccounts", "remoteIpBlocks", "notRemoteIpBlocks", "trustDomains", "notTrustDomains"];
const LATER_OPERATION_KEYS: [&str; 2] = ["ports", "notPorts"];

/// Entries of `from`, `to` and `when` of one rule.
const ENTRIES: usize = 256;

/// One rule of a policy with these targets.
pub(super) fn read(field: &Field<'_>, targets: &[Target], out: &mut Findings<'_>) -> Rule {
    let noted = out.count();
    let section = field.section(&KEYS, out);
    let (from, sources) = read_each(&section, "from", Some("source"), read_source, out);
    let (to, operations) = read_each(&section, "to", Some("operation"), read_operation, out);
    let (when, conditions) = read_each(&section, "when", None, read_condition, out);
    let rule = Rule { from, to, when };
    // Only a rule without mistakes: what could not be read would be missed here.
    if out.count() == noted {
        for never in never(&rule, targets) {
            let place = match never.part {
                Part::Rule => None,
                Part::Source(index) => sources.get(index),
                Part::Operation(index) => operations.get(index),
                Part::Condition(index) => conditions.get(index),
            };
            let message = format!("this can never match: {}", never.why);
            place.unwrap_or(field).report(Code::BadValue, message, out);
        }
    }
    rule
}

/// The entries of a list, and where each stands. Those of `from` and `to` wrap their fields in one key, as Istio has it.
fn read_each<'a, T>(
    rule: &Section<'a>,
    key: &str,
    inner: Option<&str>,
    read: impl Fn(&Field<'a>, &mut Findings<'_>) -> Option<T>,
    out: &mut Findings<'_>,
) -> (Vec<T>, Vec<Field<'a>>) {
    let entries = rule.given(key).map(|field| field.some(ENTRIES, out)).unwrap_or_default();
    let (mut all, mut places) = (Vec::new(), Vec::new());
    for entry in entries {
        let fields = match inner {
            Some(inner) => entry.section(&[inner], out).require(inner, out),
            None => Some(entry),
        };
        let Some(fields) = fields else { continue };
        let Some(read) = read(&fields, out) else { continue };
        all.push(read);
        places.push(fields);
    }
    (all, places)
}

/// The mapping of a `source` or `operation`, which names something: one that names nothing would match everything.
fn open<'a>(field: &Field<'a>, keys: &[&str], later: &[&str], out: &mut Findings<'_>) -> Option<Section<'a>> {
    let section = field.section_of(keys, later, out);
    if section.is_absent() {
        return None;
    }
    if section.is_empty() {
        let message = format!("this matches everything: name at least one of {}", keys.join(", "));
        section.report(Code::MissingKey, message, out);
    }
    Some(section)
}

fn read_source(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Source> {
    let section = open(field, &SOURCE_KEYS, &LATER_SOURCE_KEYS, out)?;
    Some(Source {
        principals: read_match(&section, "principals", form::workload, out),
        request_principals: read_match(&section, "requestPrincipals", form::subject, out),
        namespaces: read_match(&section, "namespaces", form::namespace, out),
        origins: read_match(&section, "origins", form::workload, out),
        ip_blocks: read_match(&section, "ipBlocks", form::ip_block, out),
    })
}

fn read_operation(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Operation> {
    let section = open(field, &OPERATION_KEYS, &LATER_OPERATION_KEYS, out)?;
    let verbs = section.given("verbs").map(|field| field.some(Verb::ALL.len(), out)).unwrap_or_default();
    let choices = Verb::ALL.map(|verb| (verb.as_str(), verb));
    Some(Operation {
        verbs: verbs.iter().filter_map(|entry| entry.choice(&choices, out)).collect(),
        hosts: read_match(&section, "hosts", form::host, out),
        methods: read_match(&section, "methods", form::method, out),
        paths: read_match(&section, "paths", form::path, out),
        topics: read_match(&section, "topics", form::name, out),
        functions: read_match(&section, "functions", form::name, out),
        types: read_match(&section, "types", form::text, out),
        sources: read_match(&section, "sources", form::uri, out),
    })
}

fn read_condition(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Condition> {
    let section = field.section(&CONDITION_KEYS, out);
    let key: ConditionKey = section.require("key", out).and_then(|field| field.parsed(Code::BadValue, out))?;
    let form = match &key {
        ConditionKey::SourcePrincipal | ConditionKey::OriginPrincipal => form::workload,
        ConditionKey::SourceNamespace => form::namespace,
        ConditionKey::AuthPrincipal => form::subject,
        ConditionKey::EventAttribute(name) if name == "source" => form::uri,
        _ => form::text,
    };
    let values = read_match(&section, "values", form, out);
    if values.is_empty() && section.given("values").is_none() && section.given("notValues").is_none() {
        section.report(
            Code::MissingKey,
            "`values` or `notValues` is missing: a condition without them says nothing",
            out,
        );
    }
    Some(Condition { key, values })
}
