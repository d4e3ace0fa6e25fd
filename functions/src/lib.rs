#![doc = include_str!("../README.md")]

pub mod cesql;
pub mod event;
pub mod filter;
pub mod function;
pub mod identity_field;
pub mod issuer;
pub mod manifest;
pub mod namespace;
pub mod policy;
pub mod topic;
pub mod trigger;
pub mod value;

#[cfg(test)]
mod vectors;

pub use event::{Event, EventError, EventErrorKind, EventLimits};
pub use filter::{Filter, FilterVerdict, Filters};
pub use function::{Function, FunctionSpec};
pub use issuer::{Issuer, IssuerSpec};
pub use manifest::{
    Code, Kind, Location, Metadata, Problem, Resource, ResourceId, SourceFile, check_references, parse,
};
pub use namespace::{Namespace, NamespaceSpec};
pub use policy::{Policy, PolicySpec};
pub use topic::{Topic, TopicSpec};
pub use trigger::{Trigger, TriggerSpec};
pub use value::{Duration, Name, Namespaced, Size};
