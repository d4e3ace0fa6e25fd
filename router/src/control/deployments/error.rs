//! Why an apply did not happen, as far as the admin API and the watcher branch on it.

use std::fmt::Write as _;

use weft_functions::manifest::{Problem, ResourceId, SourceFile};

use super::super::desired::{InUse, Owned, PlanError};
use crate::path::outcome::Failure;

/// Why an apply or a delete did not happen. Everything is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    /// The documents or their modules have mistakes: all of them.
    #[error("{} in the manifests, the first: {}", mistakes(.0.len()), .0.first().map(Problem::to_string).unwrap_or_default())]
    Mistakes(Vec<Problem>),
    /// Policy forbids the caller to change one of the resources.
    #[error("{}", .0.log)]
    Denied(Failure),
    /// The watched folder owns what was to be changed.
    #[error("{}", owned(.0))]
    Owned(Vec<Owned>),
    /// Others still name what was to be deleted.
    #[error("{}", in_use(.0))]
    InUse(Vec<InUse>),
    /// There is nothing of that name.
    #[error("there is no {} {}", .0.kind.singular(), .0.namespaced())]
    NotFound(ResourceId),
    /// The node could not do it now: disk, change log, runtime. Trying again may help.
    #[error("{0}")]
    Unavailable(String),
}

impl ApplyError {
    /// Mistakes, each with the line it is on where `files` has it.
    pub(super) fn mistakes(problems: Vec<Problem>, files: &[SourceFile]) -> Self {
        let shown = |problem: Problem| match files.iter().find(|file| file.name == problem.location.file) {
            Some(file) => problem.with_source(file),
            None => problem,
        };
        let mut problems: Vec<Problem> = problems.into_iter().map(shown).collect();
        problems.sort_by(|a, b| a.location.cmp(&b.location));
        Self::Mistakes(problems)
    }

    /// For people: every mistake with its snippet, or the one sentence. Ends without a line break.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Mistakes(problems) => {
                let rendered: Vec<String> = problems.iter().map(|problem| problem.render(colour)).collect();
                rendered.join("\n")
            }
            other => other.to_string(),
        }
    }
}

impl From<PlanError> for ApplyError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Mistakes(problems) => Self::Mistakes(problems),
            PlanError::Owned(owned) => Self::Owned(owned),
            PlanError::InUse(in_use) => Self::InUse(in_use),
            PlanError::NotFound(id) => Self::NotFound(id),
        }
    }
}

fn mistakes(count: usize) -> String {
    if count == 1 { "a mistake".to_owned() } else { format!("{count} mistakes") }
}

fn owned(owned: &[Owned]) -> String {
    let mut text = String::new();
    for Owned { id, by } in owned {
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ =
            write!(text, "{separator}{} {} belongs to {by} of the watched folder", id.kind.singular(), id.namespaced());
    }
    text + ": change it there"
}

fn in_use(in_use: &[InUse]) -> String {
    let sentence = |InUse { id, by }: &InUse| {
        let users: Vec<String> = by.iter().map(|by| format!("{} {}", by.kind.singular(), by.namespaced())).collect();
        let (kind, name) = (id.kind.singular(), id.namespaced());
        format!("{kind} {name} is named by {}: delete or change that first", users.join(", "))
    };
    in_use.iter().map(sentence).collect::<Vec<_>>().join("; ")
}
