//! From files to resources: the envelope that every document has (`apiVersion`, `kind`, `metadata`, `spec`), and the
//! check that no two documents describe the same resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::findings::Findings;
use super::problem::{Code, Problem};
use super::reader::{Field, Section};
use super::source::{Location, SourceFile};
use super::tree::{self, Mark, Value};
use super::{API_VERSION, Kind, Metadata, Resource, ResourceId, suggest};
use crate::function::Function;
use crate::issuer::Issuer;
use crate::namespace::Namespace;
use crate::policy::Policy;
use crate::topic::{Topic, TopicSpec};
use crate::trigger::Trigger;
use crate::value::Name;

/// Longest file of manifests in bytes: a few thousand resources. Whoever reads files need not read more than one byte
/// beyond it: [`parse`] refuses what is longer.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Kinds of the language that this version does not have.
const LATER_KINDS: [&str; 1] = ["Route"];

const ENVELOPE: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// Reads every document of every file.
///
/// # Errors
/// Every mistake of every document, file after file in the order of the lines. With one mistake there is no result.
pub fn parse(files: &[SourceFile]) -> Result<Vec<Resource>, Vec<Problem>> {
    let mut resources = Vec::new();
    let mut problems = Vec::new();
    let mut first_places: BTreeMap<ResourceId, Location> = BTreeMap::new();
    for source in files {
        let mut out = Findings::new(source);
        read_file(source, &mut resources, &mut first_places, &mut out);
        problems.extend(out.finish());
    }
    if problems.is_empty() { Ok(resources) } else { Err(problems) }
}

/// Reads a file that is one document and no resource, such as a node's settings, with the same care: `read` takes what
/// it can of the document and notes what is wrong.
///
/// # Errors
/// Every mistake, in the order of the lines.
pub fn read_settings<T>(
    source: &SourceFile,
    read: impl FnOnce(&Field<'_>, &mut Findings<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let mut out = Findings::new(source);
    let mut value = None;
    let mut read = Some(read);
    let documents = if source.text.len() > FILE_BYTES_MAX { Vec::new() } else { tree::documents(&source.text) };
    for (first_line, text) in documents {
        out.begin_document(first_line);
        match (tree::read(text), read.take()) {
            (Ok(node), taken) if node.value == Value::Null => read = taken,
            (Ok(node), Some(read)) => value = read(&Field::root(&node), &mut out),
            (Ok(node), None) => {
                out.report(node.at, "", Code::Syntax, "this file holds one document: remove the second")
            }
            (Err(error), _) => out.report(error.at, "", Code::Syntax, error.message),
        }
    }
    match (value, out.count()) {
        (Some(value), 0) => Ok(value),
        (_, 0) => {
            let message = format!("expected one document of settings in at most {FILE_BYTES_MAX} bytes");
            out.report(Mark::default(), "", Code::Syntax, message);
            Err(out.finish())
        }
        _ => Err(out.finish()),
    }
}

/// See [`Resource::from_json`].
pub(super) fn from_json(json: &serde_json::Value, location: Location) -> Result<Resource, Vec<Problem>> {
    let source = SourceFile::new(location.file.clone(), "");
    let mut out = Findings::new(&source);
    out.begin_document(location.line);
    let node = tree::from_json(json, Mark { line: 1, column: location.column, width: 1 });
    match (read_document(&Field::root(&node), &mut BTreeMap::new(), &mut out), out.count()) {
        (Some(resource), 0) => Ok(resource),
        _ => Err(out.finish()),
    }
}

fn read_file(
    source: &SourceFile,
    resources: &mut Vec<Resource>,
    first_places: &mut BTreeMap<ResourceId, Location>,
    out: &mut Findings<'_>,
) {
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has more than {FILE_BYTES_MAX} bytes: split it");
        out.report(Mark::default(), "", Code::Syntax, message);
        return;
    }
    // A file that was cut off while it was saved looks like this, and would delete all it held.
    if source.text.trim().is_empty() {
        let message = "the file is empty: write a document, or a comment if it is to hold nothing";
        out.report(Mark::default(), "", Code::Syntax, message);
        return;
    }
    for (first_line, text) in tree::documents(&source.text) {
        out.begin_document(first_line);
        match tree::read(text) {
            Ok(node) if node.value == Value::Null => {}
            Ok(node) => {
                let root = Field::root(&node);
                resources.extend(read_document(&root, first_places, out));
            }
            Err(error) => out.report(error.at, "", Code::Syntax, error.message),
        }
    }
}

fn read_document(
    root: &Field<'_>,
    first_places: &mut BTreeMap<ResourceId, Location>,
    out: &mut Findings<'_>,
) -> Option<Resource> {
    let document = root.section(&ENVELOPE, out);
    read_version(&document, out);
    let kind = document.require("kind", out).and_then(|field| read_kind(&field, out));
    let metadata = read_metadata(&document, kind, out);
    let location = out.location(root.at());
    if let (Some(kind), Some((metadata, named_at))) = (kind, &metadata) {
        let id = ResourceId { kind, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        if let Some(first) = first_places.get(&id) {
            let message = format!("{id} is described twice, first at {first}");
            out.report(*named_at, "metadata.name", Code::DuplicateResource, message);
        } else {
            first_places.insert(id, location.clone());
        }
    }
    // The spec is read even when the name is wrong, so that its mistakes are seen in the same run.
    let stand_in = || Metadata { name: Name::default_namespace(), namespace: Name::default_namespace() };
    let known = metadata.is_some();
    let metadata = metadata.map_or_else(stand_in, |(metadata, _)| metadata);
    let resource = read_resource(kind?, metadata, location, &document, out)?;
    known.then_some(resource)
}

fn read_resource(
    kind: Kind,
    metadata: Metadata,
    location: Location,
    document: &Section<'_>,
    out: &mut Findings<'_>,
) -> Option<Resource> {
    if kind == Kind::Topic {
        let spec = document.get("spec").map_or_else(TopicSpec::default, |spec| TopicSpec::read(&spec, out));
        return Some(Resource::Topic(Topic { metadata, spec, location }));
    }
    let spec = document.require("spec", out)?;
    match kind {
        Kind::Function => Function::read(metadata, location, &spec, out).map(Resource::Function),
        Kind::Trigger => Trigger::read(metadata, location, &spec, out).map(Resource::Trigger),
        Kind::Policy => Some(Resource::Policy(Arc::new(Policy::read(metadata, location, &spec, out)))),
        Kind::Namespace => Some(Resource::Namespace(Namespace::read(metadata, location, &spec, out))),
        Kind::Issuer => Issuer::read(metadata, location, &spec, out).map(Resource::Issuer),
        Kind::Topic => None,
    }
}

fn read_version(document: &Section<'_>, out: &mut Findings<'_>) {
    let Some(field) = document.require("apiVersion", out) else { return };
    if let Some(version) = field.text(out)
        && version != API_VERSION
    {
        let message = format!("`apiVersion` must be {API_VERSION}, found `{}`", version.escape_debug());
        field.report(Code::BadValue, message, out);
    }
}

fn read_kind(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Kind> {
    let text = field.text(out)?;
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    if found.is_none() {
        let kinds = Kind::ALL.map(Kind::as_str);
        let (code, message) = if LATER_KINDS.contains(&text) {
            (Code::Unsupported, format!("{text} is not supported: this version has {}", kinds.join(", ")))
        } else {
            let hint = match suggest::nearest(text, kinds) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("this version has {}", kinds.join(", ")),
            };
            (Code::UnknownKind, format!("unknown kind `{}`: {hint}", text.escape_debug()))
        };
        field.report(code, message, out);
    }
    found
}

/// Name and namespace, and where the name stands.
fn read_metadata(document: &Section<'_>, kind: Option<Kind>, out: &mut Findings<'_>) -> Option<(Metadata, Mark)> {
    let metadata = document.require("metadata", out)?.section(&["name", "namespace"], out);
    let given = metadata.get("namespace");
    let namespace = match &given {
        Some(field) => field.name_in(out),
        None => Some(Name::default_namespace()),
    };
    let field = metadata.require("name", out)?;
    let name = field.name_in(out)?;
    if kind == Some(Kind::Namespace) {
        if let Some(elsewhere) = given.filter(|given| !given.is_text(name.as_str())) {
            let message = format!("a Namespace lives in itself: leave this out, or write `{name}`");
            elsewhere.report(Code::BadName, message, out);
        }
        return Some((Metadata { namespace: name.clone(), name }, field.at()));
    }
    if kind == Some(Kind::Function) && is_reserved(name.as_str()) {
        let message = format!("`{name}` is reserved: `topics` takes events, and names ending in -NNNNN are revisions");
        field.report(Code::BadName, message, out);
        return None;
    }
    Some((Metadata { name, namespace: namespace? }, field.at()))
}

/// Names of functions that are host names of the mesh itself (`topics`) or of revisions (`hello-00002`).
fn is_reserved(name: &str) -> bool {
    let revision = name
        .rsplit_once('-')
        .is_some_and(|(_, number)| number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()));
    name == "topics" || revision
}
