//! What the node recorded of one call: its line in the access log, and its decision as it is explained. Split into what
//! must be the same on every path and what says which path it was.

use std::collections::BTreeMap;

use serde_json::Value;
use weft_tests::access::Line;

use super::model::Expected;
use super::paths::Path;

/// Where a call stands in the table: who, to what (`ns/name`), and how.
pub(super) type Place = (String, String, Path);

/// What must not depend on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Same {
    pub(super) verdict: String,
    pub(super) code: String,
    /// The labels of the target.
    pub(super) namespace: String,
    pub(super) target: String,
    pub(super) principal: String,
    pub(super) origin: String,
    /// What the verdict rests on, and the AUDIT rules that matched.
    pub(super) deciding: String,
    pub(super) audited: Vec<String>,
    /// Every rule that was asked: phase, policy, rule, and whether it matches.
    pub(super) steps: Vec<(String, String, Value, Value)>,
    pub(super) snapshot: Value,
}

impl Same {
    /// What the table speaks of.
    pub(super) fn decided(&self) -> Expected {
        let Self { verdict, code, deciding, audited, .. } = self.clone();
        Expected { verdict, code, deciding, audited }
    }
}

/// What says which path it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) verb: String,
    pub(super) via: Option<String>,
    pub(super) how: String,
}

/// The lines that are about calls of the table, by their place. A call that is recorded twice is two lines.
pub(super) fn arranged(lines: Vec<Line>) -> BTreeMap<Place, Vec<Line>> {
    let mut places: BTreeMap<Place, Vec<Line>> = BTreeMap::new();
    for line in lines {
        let target = line.get("asked").and_then(|asked| asked.split_once(' ')).map(|(_, name)| name.to_owned());
        let (Some(path), Some(target), Some(principal)) = (path(&line), target, line.get("principal")) else {
            continue;
        };
        places.entry((principal.to_owned(), target, path)).or_default().push(line);
    }
    places
}

fn path(line: &Line) -> Option<Path> {
    Some(match (line.get("verb")?, line.get("via")) {
        ("request", None) => Path::Request,
        ("request", Some(_)) => Path::Call,
        ("publish", None) => Path::Publish,
        ("publish", Some(_)) => Path::Reply,
        ("deliver", Some(_)) => Path::Deliver,
        _ => return None,
    })
}

/// Puts a line and the explanation of its decision together; the error is where the two tell of different calls.
pub(super) fn read(line: &Line, explained: &Value) -> Result<(Same, Way), String> {
    let field = |name: &str| line.get(name).unwrap_or_default().to_owned();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let identity = &explained["identity"];
    let agreed = [
        ("decision", text(&explained["decision"])),
        ("verb", text(&explained["verb"])),
        ("verdict", text(&explained["verdict"])),
        ("code", text(&explained["code"])),
        ("principal", text(&identity["peer"])),
        ("origin", text(&identity["origin"])),
        ("how", text(&identity["how"])),
        ("via", text(&explained["via"])),
        ("asked", text(&explained["asked"]["target"])),
    ];
    if let Some((name, value)) = agreed.iter().find(|(name, value)| field(name) != *value) {
        return Err(format!("the log says {name}={:?}, the explanation {value:?}: {explained}", field(name)));
    }
    if let Some(note) = explained["policy"]["note"].as_str() {
        return Err(format!("its decision cannot be derived again: {note}: {explained}"));
    }
    let steps = explained["policy"]["steps"].as_array().cloned().unwrap_or_default();
    let step =
        |step: &Value| (text(&step["phase"]), text(&step["policy"]), step["rule"].clone(), step["match"].clone());
    let audited = explained["policy"]["audited"].as_array().cloned().unwrap_or_default();
    let same = Same {
        verdict: field("verdict"),
        code: field("code"),
        namespace: field("namespace"),
        target: field("target"),
        principal: field("principal"),
        origin: field("origin"),
        deciding: text(&explained["policy"]["deciding"]),
        audited: audited.iter().map(text).collect(),
        steps: steps.iter().map(step).collect(),
        snapshot: explained["snapshot"]["version"].clone(),
    };
    Ok((same, Way { verb: field("verb"), via: line.get("via").map(str::to_owned), how: field("how") }))
}
