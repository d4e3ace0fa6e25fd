//! The inputs of a decision in at most 256 bytes: who asks for what, and the values that the rules of the snapshot look
//! at. Enough to derive the decision again; what found no room is marked, so that nothing is derived from half a value.
//! The bytes live as long as the node's memory and are never written, so they have no version.

mod decode;

use std::io::{self, Write};

use smallvec::SmallVec;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::field::{Field, NotAnObject, Seen, claim_at};
use super::question::Question;
use crate::path::call::Target;
use crate::path::caller::{Principal, Proof};
use crate::path::spiffe::SpiffeId;

/// Most bytes of an [`Encoding`].
const BYTES: usize = 256;

/// Flags, verb and proof.
const HEAD: usize = 3;

/// A path that finds no room is cut for people to read if this much of it finds some.
const PATH_CUT: usize = 12;

/// The encoded inputs of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding(SmallVec<[u8; BYTES]>);

/// Bits of the first byte.
#[derive(Clone, Copy)]
enum Flag {
    /// Something found no room.
    Lost = 1,
    Head = 2,
    Event = 4,
    Copy = 8,
    Token = 16,
}

/// What a part holds. Each is followed by its length and that many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Target,
    /// Port and host of a target outside.
    Authority,
    /// The trigger's name, in the target's namespace.
    Trigger,
    /// The trigger's whole name, in another.
    TriggerElsewhere,
    Principal,
    Origin,
    Via,
    Subject,
    Audiences,
    Presenter,
    Claim,
    Address,
    Host,
    Method,
    Path,
    /// The beginning of a path, for people.
    PathCut,
    Header,
    Attribute,
}

/// Which target a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Function,
    Topic,
    Subscription,
    Outside,
    Resource,
    Namespace,
    Nowhere,
}

/// Which principal a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    Workload,
    Subject,
    /// The one that the call's principal is.
    Same,
    /// The trigger that was kept, in this trust domain.
    Trigger,
}

impl Encoding {
    /// The bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Keeps a question: everything that `reads` look at, and beside it what people ask for as far as there is room.
    pub(super) fn of<'f>(question: &Question<'_>, reads: impl Iterator<Item = &'f Field>) -> Self {
        const ALSO: [Field; 5] = [
            Field::Method,
            Field::Path,
            Field::Host,
            Field::Attribute(std::borrow::Cow::Borrowed("type")),
            Field::Attribute(std::borrow::Cow::Borrowed("source")),
        ];
        let mut writer = Writer::new(question);
        writer.target(question.target);
        writer.trigger = writer.keep_trigger(question);
        writer.caller(question);
        let mut done: SmallVec<[&Field; 8]> = SmallVec::new();
        for field in reads {
            if !done.contains(&field) {
                done.push(field);
                writer.field(field, question);
            }
        }
        if let Some(via) = &question.caller.via {
            writer.via(via, question);
        }
        for field in ALSO.iter().filter(|field| !done.contains(field)) {
            writer.field(field, question);
        }
        Self(writer.bytes)
    }
}

struct Writer {
    bytes: SmallVec<[u8; BYTES]>,
    /// Whether the trigger found room.
    trigger: bool,
}

impl Writer {
    fn new(question: &Question<'_>) -> Self {
        let flags = [
            (question.head.is_some(), Flag::Head),
            (question.event.is_some(), Flag::Event),
            (question.copy, Flag::Copy),
            (question.token().is_some(), Flag::Token),
        ];
        let flags = flags.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag as u8);
        let proof = Proof::ALL.iter().position(|proof| *proof == question.caller.how).unwrap_or_default();
        Self { bytes: SmallVec::from_slice(&[flags, question.verb as u8, proof as u8]), trigger: false }
    }

    fn flag(&mut self, flag: Flag) {
        if let Some(flags) = self.bytes.first_mut() {
            *flags |= flag as u8;
        }
    }

    /// Writes a part whole, or not at all and says so.
    fn part(&mut self, part: Part, write: impl FnOnce(&mut Room<'_>) -> io::Result<()>) -> bool {
        let start = self.bytes.len();
        let mut room = Room(&mut self.bytes);
        let written = room.write_all(&[part as u8, 0]).and_then(|()| write(&mut room));
        let length = self.bytes.len() - start;
        match (written, self.bytes.get_mut(start + 1), u8::try_from(length.saturating_sub(2))) {
            (Ok(()), Some(place), Ok(length)) => {
                *place = length;
                true
            }
            _ => {
                self.bytes.truncate(start);
                self.flag(Flag::Lost);
                false
            }
        }
    }

    fn target(&mut self, target: &Target) {
        let (aim, kind, name) = match target {
            Target::Function(name) => (Aim::Function, None, Some((&name.namespace, Some(&name.name)))),
            Target::Topic(name) => (Aim::Topic, None, Some((&name.namespace, Some(&name.name)))),
            Target::Subscription(name) => (Aim::Subscription, None, Some((&name.namespace, Some(&name.name)))),
            Target::Outside(outside) => {
                let owner = &outside.owner;
                (Aim::Outside, Some(outside.owner_kind), Some((&owner.namespace, Some(&owner.name))))
            }
            Target::Resource(id) => (Aim::Resource, Some(id.kind), Some((&id.namespace, Some(&id.name)))),
            Target::Namespace(name) => (Aim::Namespace, None, Some((name, None))),
            Target::Nowhere(_) => (Aim::Nowhere, None, None),
        };
        let kind = kind.and_then(|kind| Kind::ALL.iter().position(|of| *of == kind)).unwrap_or_default();
        self.part(Part::Target, |room| {
            room.write_all(&[aim as u8, kind as u8])?;
            let Some((namespace, name)) = name else { return Ok(()) };
            room.short(namespace.as_str().as_bytes())?;
            name.map_or(Ok(()), |name| room.short(name.as_str().as_bytes()))
        });
        if let Target::Outside(outside) = target {
            self.part(Part::Authority, |room| {
                room.write_all(&outside.port.to_be_bytes())?;
                room.write_all(outside.host.as_bytes())
            });
        }
    }

    fn keep_trigger(&mut self, question: &Question<'_>) -> bool {
        let Some(trigger @ Namespaced { namespace, name }) = question.trigger else { return false };
        match Some(namespace) == question.namespace() {
            true => self.part(Part::Trigger, |room| room.write_all(name.as_str().as_bytes())),
            // Policies do not select by it, so it may be missing.
            false => self.part(Part::TriggerElsewhere, |room| write!(room, "{trigger}")),
        }
    }

    /// What a delivery or a reply came through is its trigger, whose name is here already.
    fn via(&mut self, via: &Principal, question: &Question<'_>) {
        let trigger = question.trigger.filter(|_| self.trigger);
        match (via, trigger) {
            (Principal::Workload(id), Some(trigger)) if is_of(id, trigger) => {
                self.part(Part::Via, |room| {
                    room.write_all(&[Who::Trigger as u8])?;
                    room.write_all(id.trust_domain().as_bytes())
                });
            }
            _ => self.principal(Part::Via, via, question),
        }
    }

    fn caller(&mut self, question: &Question<'_>) {
        let caller = question.caller;
        let unknown = |field: Field| matches!(field.read(question), Seen::Unknown);
        match unknown(Field::Principal) {
            true => self.flag(Flag::Lost),
            false => self.principal(Part::Principal, &caller.principal, question),
        }
        match unknown(Field::Origin) {
            true => self.flag(Flag::Lost),
            false => self.principal(Part::Origin, &caller.origin, question),
        }
        match (unknown(Field::AuthPrincipal), question.token()) {
            (true, _) => self.flag(Flag::Lost),
            (false, Some(token)) => {
                self.principal(Part::Subject, &Principal::Subject(token.subject.clone()), question);
            }
            (false, None) => drop(self.part(Part::Subject, |_| Ok(()))),
        }
    }

    fn principal(&mut self, part: Part, principal: &Principal, question: &Question<'_>) {
        let same = part != Part::Principal && *principal == question.caller.principal;
        self.part(part, |room| match principal {
            _ if same => room.write_all(&[Who::Same as u8]),
            Principal::Anonymous => room.write_all(&[Who::Anonymous as u8]),
            Principal::Workload(id) => {
                room.write_all(&[Who::Workload as u8])?;
                room.write_all(id.as_str().as_bytes())
            }
            Principal::Subject(subject) => {
                room.write_all(&[Who::Subject as u8])?;
                room.short(subject.scope.as_ref().map_or("", |scope| scope.as_str()).as_bytes())?;
                room.write_all(subject.text.as_bytes())
            }
        });
    }

    /// Keeps what is found in one field, be it that there is nothing.
    fn field(&mut self, field: &Field, question: &Question<'_>) {
        let part = match field {
            // These are always kept.
            Field::Principal | Field::Namespace | Field::Origin | Field::AuthPrincipal => return,
            Field::Topic | Field::Function => return,
            Field::AuthAudiences => Part::Audiences,
            Field::AuthPresenter => Part::Presenter,
            Field::AuthClaim(_) => Part::Claim,
            Field::Address => Part::Address,
            Field::Host => Part::Host,
            Field::Method => Part::Method,
            Field::Path => Part::Path,
            Field::Header(_) => Part::Header,
            Field::Attribute(_) => Part::Attribute,
        };
        let seen = field.read(question);
        let of_head = matches!(part, Part::Host | Part::Method | Part::Path);
        match seen {
            Seen::Unknown if field.is_of_event() && question.event.is_none() => return,
            Seen::Unknown => return self.flag(Flag::Lost),
            Seen::Absent if of_head => return,
            _ => {}
        }
        let fits = self.part(part, |room| {
            room.name(field)?;
            room.value(field, &seen, question)
        });
        if !fits && let (Part::Path, Seen::Text(path)) = (part, seen) {
            self.cut(path);
        }
    }

    fn cut(&mut self, path: &str) {
        let room = BYTES.saturating_sub(self.bytes.len() + 2);
        let cut = path.floor_char_boundary(room.min(path.len()));
        if cut >= PATH_CUT {
            self.part(Part::PathCut, |room| room.write_all(&path.as_bytes()[..cut]));
        }
    }
}

/// What is left of the bytes. Writing beyond it fails.
struct Room<'a>(&'a mut SmallVec<[u8; BYTES]>);

impl Write for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Room<'_> {
    /// Bytes behind their length.
    fn short(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u8::try_from(bytes.len()).map_err(|_| io::ErrorKind::StorageFull)?;
        self.write_all(&[length])?;
        self.write_all(bytes)
    }

    /// What tells fields of one part apart.
    fn name(&mut self, field: &Field) -> io::Result<()> {
        match field {
            Field::Header(name) => self.short(name.as_str().as_bytes()),
            Field::Attribute(name) => self.short(name.as_bytes()),
            Field::AuthClaim(path) => {
                let length = u8::try_from(path.len()).map_err(|_| io::ErrorKind::StorageFull)?;
                self.write_all(&[length])?;
                path.iter().try_for_each(|key| self.short(key.as_bytes()))
            }
            _ => Ok(()),
        }
    }

    fn value(&mut self, field: &Field, seen: &Seen<'_>, question: &Question<'_>) -> io::Result<()> {
        match (field, seen) {
            (_, Seen::Absent | Seen::Nobody | Seen::Unknown) => Ok(()),
            // Claims keep their types, which rules tell apart.
            (Field::AuthClaim(path), _) => match question.token().map(|token| claim_at(token, path)) {
                Some(Ok(Some(claim))) => Ok(serde_json::to_writer(self, claim)?),
                Some(Ok(None)) | None => Ok(()),
                // What stands in its way has no place here.
                Some(Err(NotAnObject)) => Err(io::ErrorKind::InvalidData.into()),
            },
            // A value that is empty is not one that is absent.
            (Field::Attribute(_), Seen::Text(text)) => {
                self.write_all(&[1])?;
                self.write_all(text.as_bytes())
            }
            (_, Seen::Text(text)) => self.write_all(text.as_bytes()),
            (_, Seen::Address(address)) => write!(self, "{address}"),
            (_, Seen::Audiences(all)) => all.iter().try_for_each(|audience| self.short(audience.as_bytes())),
            (_, Seen::Headers(values)) => values.iter().try_for_each(|value| self.short(value.as_bytes())),
            (_, Seen::Claims(_) | Seen::Malformed) => Ok(()),
        }
    }
}

/// Whether an id is the one that a trust domain gives this trigger.
fn is_of(id: &SpiffeId, trigger: &Namespaced) -> bool {
    let rest = id.path().strip_prefix("/ns/").and_then(|rest| rest.strip_prefix(trigger.namespace.as_str()));
    rest.and_then(|rest| rest.strip_prefix("/trigger/")) == Some(trigger.name.as_str())
}

/// The verbs by their place.
fn verb(place: u8) -> Option<Verb> {
    Verb::ALL.into_iter().find(|verb| *verb as u8 == place)
}
