//! The table as manifests: what the node is given. Beside targets and policies it has what carries the paths: functions
//! that call and reply, topics that anybody may publish to, and triggers.

use std::fmt::Write;

use super::model::Binding;
use super::table::{CALLERS, Caller, NAMESPACES, Policy, Rule, TARGETS, Target, Texts, WIDE, callers};

/// The namespace of the topics and triggers that carry events to their targets.
pub(super) const CARRIER: &str = "carrier";

/// The topic whose events are delivered to the targets' functions.
pub(super) const OPEN: &str = "open";

/// The topic whose events a caller's function answers.
pub(super) fn questions((namespace, function): Caller) -> String {
    format!("{namespace}-{function}")
}

/// The type of an event for a target: one trigger of a topic takes it.
pub(super) fn event_type(target: &Target) -> String {
    format!("{}.{}", target.namespace, target.name)
}

/// The trigger that delivers to a target's function.
pub(super) fn delivering(target: &Target) -> String {
    format!("to-{}-{}", target.namespace, target.name)
}

/// The trigger that publishes a caller's answer to a target's topic.
pub(super) fn replying(caller: Caller, target: &Target) -> String {
    format!("{}-to-{}-{}", questions(caller), target.namespace, target.name)
}

/// The policies that bind a target, and what holds without any.
pub(super) fn binding(target: &Target) -> Binding<'static> {
    let target = TARGETS.iter().find(|known| known.full() == target.full()).expect("a target of the table");
    let wide = |of: &'static str| {
        WIDE.iter()
            .filter(move |(namespace, _)| *namespace == of)
            .map(|(namespace, policy)| (format!("{namespace}/{}", policy.name), policy))
    };
    let own =
        target.policies.iter().map(|policy| (format!("{}/{}", target.namespace, written_name(target, policy)), policy));
    let mut own: Vec<_> = own.chain(wide(target.namespace)).collect();
    own.sort_by(|(one, _), (other, _)| one.cmp(other));
    let allows = NAMESPACES.iter().any(|(name, default)| *name == target.namespace && *default == Some("allow"));
    Binding { policies: wide("weft-system").chain(own).collect(), allows }
}

/// Everything, as one file of manifests.
pub(super) fn manifests() -> String {
    let mut text = String::new();
    let open = "rules: [ {} ]";
    for (namespace, default) in NAMESPACES {
        if let Some(default) = default {
            add(&mut text, "Namespace", namespace, "", &format!("default: {default}"));
        }
    }
    for (namespace, policy) in WIDE {
        add(&mut text, "Policy", policy.name, namespace, &written(policy, "[]"));
    }
    for target in TARGETS {
        let Target { namespace, name, policies } = target;
        add(&mut text, "Function", name, namespace, "module: ./echo.wasm");
        add(&mut text, "Topic", name, namespace, "");
        for policy in *policies {
            let bound = format!("[ {{ function: {name} }}, {{ topic: {name} }} ]");
            add(&mut text, "Policy", &written_name(target, policy), namespace, &written(policy, &bound));
        }
    }
    for namespace in CALLERS {
        add(&mut text, "Policy", "open", namespace, open);
    }
    add(&mut text, "Policy", "open", CARRIER, open);
    add(&mut text, "Topic", OPEN, CARRIER, "");
    for target in TARGETS {
        let spec = format!(
            "topic: {OPEN}, filters: [ {{ exact: {{ type: {} }} }} ], function: {}",
            event_type(target),
            target.full()
        );
        add(&mut text, "Trigger", &delivering(target), CARRIER, &spec);
    }
    for caller in callers() {
        let (namespace, function) = caller;
        add(&mut text, "Function", function, namespace, "module: ./relay.wasm");
        add(&mut text, "Topic", &questions(caller), CARRIER, "");
        for target in TARGETS {
            let spec = format!(
                "topic: {}, filters: [ {{ exact: {{ type: {} }} }} ], function: {namespace}/{function}, path: /reply, \
                 reply: {{ topic: {} }}",
                questions(caller),
                event_type(target),
                target.full()
            );
            add(&mut text, "Trigger", &replying(caller, target), CARRIER, &spec);
        }
    }
    text
}

/// Policies of different targets must not have one name.
fn written_name(target: &Target, policy: &Policy) -> String {
    format!("{}-{}", target.name, policy.name)
}

fn add(text: &mut String, kind: &str, name: &str, namespace: &str, spec: &str) {
    let namespace = if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    let _ = write!(
        text,
        "---\napiVersion: weft.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name}{namespace} }}\nspec: {{ {spec} }}\n"
    );
}

fn written(policy: &Policy, targets: &str) -> String {
    let rules: Vec<String> = policy.rules.iter().map(written_rule).collect();
    format!("action: {}, targets: {targets}, rules: [ {} ]", policy.action, rules.join(", "))
}

fn written_rule(rule: &Rule) -> String {
    let Rule { from, verbs, names, when } = rule;
    let mut parts = Vec::new();
    let sources: Vec<String> = from
        .iter()
        .map(|source| {
            let fields: Vec<String> = source.iter().map(|(key, texts)| format!("{key}: {}", list(texts))).collect();
            format!("{{ source: {{ {} }} }}", fields.join(", "))
        })
        .collect();
    if !sources.is_empty() {
        parts.push(format!("from: [ {} ]", sources.join(", ")));
    }
    let verbs = (!verbs.is_empty()).then(|| format!("verbs: {}", list(verbs)));
    let operations: Vec<String> = match names {
        [] => verbs.into_iter().collect(),
        names => ["functions", "topics"].map(|kind| format!("{kind}: {}", list(names))).into(),
    };
    if !operations.is_empty() {
        let operations: Vec<String> =
            operations.iter().map(|operation| format!("{{ operation: {{ {operation} }} }}")).collect();
        parts.push(format!("to: [ {} ]", operations.join(", ")));
    }
    let conditions: Vec<String> =
        when.iter().map(|(key, values, texts)| format!("{{ key: \"{key}\", {values}: {} }}", list(texts))).collect();
    if !conditions.is_empty() {
        parts.push(format!("when: [ {} ]", conditions.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn list(texts: Texts) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    format!("[ {} ]", quoted.join(", "))
}
