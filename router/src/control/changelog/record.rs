//! The bytes of one record, format 1: a JSON object that begins with its format and the oldest reader's. Separate,
//! because this is what other versions of weft read; a golden file holds it.
//!
//! ```json
//! {"format":1,"oldestReader":1,"at":"2026-11-23T11:00:00Z",
//!  "put":[{"owner":"file","file":"app.yaml","line":3,"column":1,"module":"sha256 in hex","revision":2,"resource":{…}}],
//!  "delete":[{"kind":"Topic","namespace":"default","name":"orders"}]}
//! ```
//!
//! `module` and `revision` are there for functions only, and for policies `ruleLines`, the line of each rule; a record
//! without them means rules that stand where their document begins. A checkpoint is a record too: it puts the whole state, each
//! entry with `changedIn`, the snapshot since which it is like this.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weft_functions::manifest::{Kind, Location, Problem, Resource, ResourceId};

use super::super::desired::{Desired, Entry, Owner, Plan};
use super::super::timestamp::rfc3339;

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// The oldest reader that understands what this version writes.
const OLDEST_READER: u32 = 1;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version.
    #[error("it needs a reader of format {needs}, this one reads up to {FORMAT}; start the newer version of weft")]
    Newer {
        /// The oldest reader that may read it.
        needs: u32,
    },
    /// Not what a record is.
    #[error("it is not a record: {0}")]
    Malformed(String),
    /// A resource that this version does not take.
    #[error("{id} is not valid in this version: {problem}")]
    Resource {
        /// What it says it is.
        id: String,
        /// The first mistake.
        problem: Box<Problem>,
    },
}

/// The part of a record that every version has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format {
    oldest_reader: u32,
}

/// One record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    format: u32,
    oldest_reader: u32,
    at: String,
    put: Vec<PutEntry>,
    delete: Vec<Id>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutEntry {
    owner: OwnerWord,
    file: String,
    line: u32,
    column: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_in: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rule_lines: Vec<u32>,
    resource: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnerWord {
    File,
    Api,
}

#[derive(Serialize, Deserialize)]
struct Id {
    kind: String,
    namespace: String,
    name: String,
}

impl Record {
    /// The record of an apply.
    pub(super) fn of_plan(plan: &Plan, at_ms: u64) -> Self {
        let put = plan.put.values().map(|entry| PutEntry::new(entry, None)).collect();
        Self::new(at_ms, put, plan.delete.iter().map(Id::new).collect())
    }

    /// The record that puts everything: a checkpoint.
    pub(super) fn of_state(desired: &Desired, at_ms: u64) -> Self {
        let put = desired.entries.values().map(|entry| PutEntry::new(entry, Some(entry.changed_in))).collect();
        Self::new(at_ms, put, Vec::new())
    }

    fn new(at_ms: u64, put: Vec<PutEntry>, delete: Vec<Id>) -> Self {
        Self { format: FORMAT, oldest_reader: OLDEST_READER, at: rfc3339(at_ms), put, delete }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Strings, numbers and JSON values always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the format first: what a newer version wrote may look different everywhere else.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let malformed = |error: serde_json::Error| RecordError::Malformed(error.to_string());
        let format: Format = serde_json::from_slice(bytes).map_err(malformed)?;
        if format.oldest_reader > FORMAT {
            return Err(RecordError::Newer { needs: format.oldest_reader });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// The plan that was recorded. Entries of a checkpoint, which have numbers already, are among the kept ones.
    pub(super) fn into_plan(self) -> Result<Plan, RecordError> {
        let mut plan = Plan::default();
        for put in self.put {
            let numbered = put.changed_in.is_some();
            let entry = put.into_entry()?;
            let id = entry.resource.id();
            if numbered {
                plan.kept.insert(id, entry)
            } else {
                plan.put.insert(id, entry)
            };
        }
        for id in self.delete {
            plan.delete.insert(id.read()?);
        }
        Ok(plan)
    }
}

impl PutEntry {
    fn new(entry: &Entry, changed_in: Option<u64>) -> Self {
        let Location { file, line, column } = entry.resource.location().clone();
        let function = entry.resource.kind() == Kind::Function;
        Self {
            owner: match entry.owner {
                Owner::File => OwnerWord::File,
                Owner::Api => OwnerWord::Api,
            },
            file: file.to_string(),
            line,
            column,
            module: entry.module.map(|module| module.to_string()),
            revision: function.then_some(entry.revision),
            changed_in,
            rule_lines: match &entry.resource {
                Resource::Policy(policy) => policy.rule_lines(),
                _ => Vec::new(),
            },
            resource: entry.resource.to_json(),
        }
    }

    fn into_entry(self) -> Result<Entry, RecordError> {
        let location = Location { file: self.file.into(), line: self.line, column: self.column };
        let read = Resource::from_json(&self.resource, location);
        let resource = match read.map_err(|problems| refused(&self.resource, problems))? {
            Resource::Policy(policy) => Resource::Policy(policy.with_rule_lines(&self.rule_lines).into()),
            other => other,
        };
        let module = self.module.map(|module| module.parse()).transpose();
        Ok(Entry {
            resource,
            owner: match self.owner {
                OwnerWord::File => Owner::File,
                OwnerWord::Api => Owner::Api,
            },
            module: module.map_err(|error| RecordError::Malformed(format!("{error}")))?,
            revision: self.revision.unwrap_or_default(),
            changed_in: self.changed_in.unwrap_or_default(),
        })
    }
}

fn refused(resource: &Value, problems: Vec<Problem>) -> RecordError {
    let field = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let id = format!("{} {}/{}", field("/kind"), field("/metadata/namespace"), field("/metadata/name"));
    match problems.into_iter().next() {
        Some(problem) => RecordError::Resource { id, problem: Box::new(problem) },
        None => RecordError::Malformed(format!("{id} is refused without a reason")),
    }
}

impl Id {
    fn new(id: &ResourceId) -> Self {
        Self { kind: id.kind.to_string(), namespace: id.namespace.to_string(), name: id.name.to_string() }
    }

    fn read(&self) -> Result<ResourceId, RecordError> {
        let malformed = |error: weft_functions::value::ValueError| RecordError::Malformed(error.to_string());
        Ok(ResourceId {
            kind: self.kind.parse().map_err(malformed)?,
            namespace: self.namespace.parse().map_err(malformed)?,
            name: self.name.parse().map_err(malformed)?,
        })
    }
}
