//! Writes a Policy's spec as the JSON that reads back as the same spec. Separate from the reading, whose mirror it is: a
//! key that one of them has, the other has too.

use serde_json::{Map, Value, json};

use super::{Condition, Match, Operation, PolicySpec, Rule, Source};

impl PolicySpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        let targets: Vec<Value> = self.targets.iter().map(|t| json!({ t.kind.singular(): t.name })).collect();
        let rules: Vec<Value> = self.rules.iter().map(Rule::to_json).collect();
        json!({ "action": self.action.as_str(), "targets": targets, "rules": rules })
    }
}

impl Rule {
    fn to_json(&self) -> Value {
        let mut rule = Map::new();
        let mut put = |key: &str, entries: Vec<Value>| {
            // What was left out is left out again: an explicit empty list is refused when read.
            if !entries.is_empty() {
                rule.insert(key.to_owned(), entries.into());
            }
        };
        put("from", self.from.iter().map(|source| json!({ "source": source.to_json() })).collect());
        put("to", self.to.iter().map(|operation| json!({ "operation": operation.to_json() })).collect());
        put("when", self.when.iter().map(Condition::to_json).collect());
        Value::Object(rule)
    }
}

impl Source {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        put(&mut fields, "principals", "notPrincipals", &self.principals);
        put(&mut fields, "requestPrincipals", "notRequestPrincipals", &self.request_principals);
        put(&mut fields, "namespaces", "notNamespaces", &self.namespaces);
        put(&mut fields, "origins", "notOrigins", &self.origins);
        put(&mut fields, "ipBlocks", "notIpBlocks", &self.ip_blocks);
        Value::Object(fields)
    }
}

impl Operation {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if !self.verbs.is_empty() {
            fields.insert("verbs".into(), Value::from_iter(self.verbs.iter().map(|verb| verb.as_str())));
        }
        put(&mut fields, "hosts", "notHosts", &self.hosts);
        put(&mut fields, "methods", "notMethods", &self.methods);
        put(&mut fields, "paths", "notPaths", &self.paths);
        put(&mut fields, "topics", "notTopics", &self.topics);
        put(&mut fields, "functions", "notFunctions", &self.functions);
        put(&mut fields, "types", "notTypes", &self.types);
        put(&mut fields, "sources", "notSources", &self.sources);
        Value::Object(fields)
    }
}

impl Condition {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("key".into(), self.key.to_string().into());
        put(&mut fields, "values", "notValues", &self.values);
        Value::Object(fields)
    }
}

/// Writes what narrows and nothing else.
fn put<T: ToString>(fields: &mut Map<String, Value>, any: &str, none: &str, values: &Match<T>) {
    for (key, list) in [(any, &values.any), (none, &values.none)] {
        if !list.is_empty() {
            fields.insert(key.into(), Value::from_iter(list.iter().map(ToString::to_string)));
        }
    }
}
