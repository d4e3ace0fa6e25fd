//! Reads a Policy's spec and notes every mistake in it.
//!
//! What cannot be judged is refused, never skipped: a condition that is silently ignored opens a door. A key without a
//! value (`principals:`), which elsewhere counts as left out, is a mistake here, because it is what a template leaves
//! behind that had nothing to put there.

mod form;
mod rule;
mod values;

use super::{Action, Policy, PolicySpec, Target};
use crate::manifest::{Code, Field, Findings, Kind, Location, Metadata, Reference, Role};
use crate::value::Namespaced;

const KEYS: [&str; 3] = ["action", "targets", "rules"];
const LATER_KEYS: [&str; 4] = ["selector", "targetRefs", "targetRef", "provider"];
const TARGET_KEYS: [&str; 3] = ["function", "topic", "trigger"];

/// Entries of `targets`; Istio allows 16 `targetRefs`, a namespace of functions is larger.
const TARGETS: usize = 256;

/// Rules of one policy.
const RULES: usize = 256;

impl Policy {
    pub(crate) fn read(metadata: Metadata, location: Location, spec: &Field<'_>, out: &mut Findings<'_>) -> Self {
        let spec = spec.section_of(&KEYS, &LATER_KEYS, out);
        let choices = Action::ALL.map(|action| (action.as_str(), action));
        let action = spec.given("action").and_then(|field| field.choice(&choices, out)).unwrap_or(Action::Allow);
        let mut targets = Vec::new();
        let mut references = Vec::new();
        for field in spec.given("targets").map(|field| field.at_most(TARGETS, out)).unwrap_or_default() {
            let Some((target, name_field)) = read_target(&field, out) else { continue };
            let to = Namespaced::new(metadata.namespace.clone(), target.name.clone());
            references.push(Reference::new(Role::Binds, target.kind, &to, &name_field, out));
            targets.push(target);
        }
        let fields = spec.given("rules").map(|field| field.at_most(RULES, out)).unwrap_or_default();
        let rules = fields.iter().map(|field| rule::read(field, &targets, out)).collect();
        let rule_locations = fields.iter().map(|field| out.location(field.at())).collect();
        Self { metadata, spec: PolicySpec { action, targets, rules }, location, rule_locations, references }
    }
}

/// `{ function: NAME }`, `{ topic: NAME }` or `{ trigger: NAME }`.
fn read_target<'a>(field: &Field<'a>, out: &mut Findings<'_>) -> Option<(Target, Field<'a>)> {
    let target = field.section(&TARGET_KEYS, out);
    let kinds = [Kind::Function, Kind::Topic, Kind::Trigger];
    let given: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind, target.given(kind.singular())?))).collect();
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
