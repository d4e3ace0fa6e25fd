//! Whether resources that are right by themselves go together: issuers that two documents describe, quotas that what is
//! there exceeds. Like references, this needs the whole desired state.

use std::collections::BTreeMap;

use super::problem::{Code, Problem};
use super::{Resource, SYSTEM_NAMESPACE};
use crate::issuer::Issuer;
use crate::namespace::Namespace;
use crate::value::Name;

/// Everything that does not go together, in the order of the resources.
pub(super) fn disagreements(resources: &[Resource]) -> Vec<Problem> {
    let mut functions: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut issuers: Vec<&Issuer> = Vec::new();
    let mut problems = Vec::new();
    for resource in resources {
        match resource {
            Resource::Function(function) => *functions.entry(&function.metadata.namespace).or_default() += 1,
            Resource::Issuer(issuer) => {
                problems.extend(issuers.iter().find_map(|before| clash(before, issuer)));
                issuers.push(issuer);
            }
            _ => {}
        }
    }
    for resource in resources {
        if let Resource::Namespace(namespace) = resource {
            let used = functions.get(&namespace.metadata.name).copied().unwrap_or_default();
            problems.extend(exceeded(namespace, used));
        }
    }
    problems
}

/// Two issuers that count in one namespace must be told apart by every `<iss>/<sub>` that they may vouch for: their names
/// differ, and neither is the other followed by a slash, since `https://a` with the subject `b/c` would pass for
/// `https://a/b` with the subject `c`.
fn clash(before: &Issuer, issuer: &Issuer) -> Option<Problem> {
    let (one, other) = (&before.metadata.namespace, &issuer.metadata.namespace);
    let shared = if one == other || *one == SYSTEM_NAMESPACE {
        other
    } else if *other == SYSTEM_NAMESPACE {
        one
    } else {
        return None;
    };
    let (known, name) = (before.spec.issuer.as_str(), issuer.spec.issuer.as_str());
    let by = format!("Issuer {} at {}", before.metadata.namespaced(), before.location);
    let message = if known == name {
        format!("`{name}` is described twice for namespace {shared}: first by {by}")
    } else if begins_with(known, name) || begins_with(name, known) {
        format!(
            "`{name}` and `{known}`, described by {by}, could name the same principal in namespace {shared}: \
             one is the other followed by a slash"
        )
    } else {
        return None;
    };
    Some(issuer.issuer_place.problem(Code::BadValue, message))
}

fn begins_with(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'))
}

fn exceeded(namespace: &Namespace, used: usize) -> Option<Problem> {
    let quota = namespace.spec.quotas.functions;
    if u32::try_from(used).is_ok_and(|used| used <= quota) {
        return None;
    }
    let name = &namespace.metadata.name;
    let message = format!(
        "namespace {name} would have {used} functions, and its `quotas.functions` is {quota}: raise it, or leave some out"
    );
    Some(namespace.functions_place.problem(Code::QuotaExceeded, message))
}
