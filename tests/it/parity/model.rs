//! What each row must come to, told a second time: every policy in turn, as the documentation says it, with nothing
//! compiled and nothing looked up. Shares no code with the router.

use super::table::{Caller, Policy, Rule, Source, Target, Texts, id};

/// What a row must come to on every path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// `allow` or `deny`.
    pub(super) verdict: String,
    /// The reason code.
    pub(super) code: String,
    /// What it rests on, in the words of an explanation.
    pub(super) deciding: String,
    /// AUDIT rules that match.
    pub(super) audited: Vec<String>,
}

/// Policies of the mesh, then of the target's namespace, each by name; the second is what is said for the default.
pub(super) struct Binding<'a> {
    pub(super) policies: Vec<(String, &'a Policy)>,
    pub(super) allows: bool,
}

/// The model's answer.
pub(super) fn expect(caller: Caller, target: &Target, binding: &Binding<'_>) -> Expected {
    let matching = |action: &str| {
        let mut found = Vec::new();
        for (name, policy) in binding.policies.iter().filter(|(_, policy)| policy.action == action) {
            for (number, rule) in policy.rules.iter().enumerate() {
                if applies(rule) && matches(rule, caller, target) {
                    found.push(format!("policy {name} rule {number}"));
                }
            }
        }
        found
    };
    let audited = matching("AUDIT");
    let answer = |verdict: &str, code: &str, deciding| Expected {
        verdict: verdict.to_owned(),
        code: code.to_owned(),
        deciding,
        audited,
    };
    if let Some(rule) = matching("DENY").into_iter().next() {
        return answer("deny", "AUTHZ_DENY_RULE", rule);
    }
    if let Some(rule) = matching("ALLOW").into_iter().next() {
        return answer("allow", "OK", rule);
    }
    let selects =
        |policy: &Policy| policy.action == "ALLOW" && (policy.rules.is_empty() || policy.rules.iter().any(applies));
    if binding.policies.iter().any(|(_, policy)| selects(policy)) {
        return answer("deny", "AUTHZ_NO_ALLOW", "no ALLOW policy matches".to_owned());
    }
    match binding.allows {
        true => answer("allow", "OK", "default".to_owned()),
        false => answer("deny", "AUTHZ_NO_ALLOW", "default".to_owned()),
    }
}

/// A rule of other verbs says nothing here. Rules of the table name all verbs of the five paths or none of them.
fn applies(rule: &Rule) -> bool {
    rule.verbs.is_empty() || ["request", "publish", "deliver"].iter().all(|verb| rule.verbs.contains(verb))
}

fn matches(rule: &Rule, caller: Caller, target: &Target) -> bool {
    let from = rule.from.is_empty() || rule.from.iter().any(|source| comes_from(source, caller));
    let named = rule.names.is_empty() || some(rule.names, target.name);
    let holds = |(key, list, values): &(&str, &str, Texts)| {
        let value = match *key {
            "source.namespace" => caller.0.to_owned(),
            "source.principal" | "origin.principal" => id(caller),
            other => panic!("the model knows no {other}"),
        };
        some(values, &value) == (*list == "values")
    };
    from && named && rule.when.iter().all(holds)
}

fn comes_from(source: Source, caller: Caller) -> bool {
    source.iter().all(|(key, values)| match *key {
        // Each caller of the table began its own chain.
        "principals" | "origins" => some(values, &id(caller)),
        "notPrincipals" | "notOrigins" => !some(values, &id(caller)),
        "namespaces" => some(values, caller.0),
        "notNamespaces" => !some(values, caller.0),
        other => panic!("the model knows no {other}"),
    })
}

fn some(patterns: Texts, text: &str) -> bool {
    patterns.iter().any(|pattern| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => text.starts_with(prefix),
        (None, Some(suffix)) => text.ends_with(suffix),
        (None, None) => *pattern == text,
    })
}
