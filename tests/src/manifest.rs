//! Manifests as short texts. Each function gives one document; a file is several of them, one after the other.

/// A document of any kind, its spec in one line.
pub fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: weft.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

/// A function on a guest of the tests, with further keys of its spec (`""` for none).
pub fn function(name: &str, guest: &str, more: &str) -> String {
    document("Function", name, &joined(&format!("module: ./{guest}.wasm"), more))
}

/// A topic, with further keys of its spec (`""` for the defaults).
pub fn topic(name: &str, spec: &str) -> String {
    document("Topic", name, spec)
}

/// A trigger from `topic`, with the keys that say where to and how.
pub fn trigger(name: &str, topic: &str, more: &str) -> String {
    document("Trigger", name, &joined(&format!("topic: {topic}"), more))
}

/// A policy.
pub fn policy(name: &str, spec: &str) -> String {
    document("Policy", name, spec)
}

fn joined(first: &str, more: &str) -> String {
    if more.is_empty() { first.to_owned() } else { format!("{first}, {more}") }
}
