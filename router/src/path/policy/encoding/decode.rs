//! The way back: from what was kept to a question that can be asked again.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::value::{Name, Namespaced};

use super::super::field::Field;
use super::super::kept::{Known, OwnedHead, OwnedQuestion};
use super::{Aim, Encoding, Flag, HEAD, Part, Who, verb};
use crate::path::call::{Outside, Reach, Target};
use crate::path::caller::{Caller, Principal, Proof, Subject, Token};
use crate::path::outcome::{Failure, Reason};
use crate::path::spiffe::TrustDomain;

const PARTS: [Part; 18] = [
    Part::Target,
    Part::Authority,
    Part::Trigger,
    Part::TriggerElsewhere,
    Part::Principal,
    Part::Origin,
    Part::Via,
    Part::Subject,
    Part::Audiences,
    Part::Presenter,
    Part::Claim,
    Part::Address,
    Part::Host,
    Part::Method,
    Part::Path,
    Part::PathCut,
    Part::Header,
    Part::Attribute,
];

const AIMS: [Aim; 7] =
    [Aim::Function, Aim::Topic, Aim::Subscription, Aim::Outside, Aim::Resource, Aim::Namespace, Aim::Nowhere];

const PRINCIPALS: [Who; 5] = [Who::Anonymous, Who::Workload, Who::Subject, Who::Same, Who::Trigger];

impl Encoding {
    /// The question, as far as it was kept. `None` if these are not bytes of an [`Encoding`].
    pub fn decode(bytes: &[u8]) -> Option<OwnedQuestion> {
        let (&[flags, place, proof], parts) = bytes.split_first_chunk::<HEAD>()?;
        let has = |flag: Flag| flags & flag as u8 != 0;
        let how = *Proof::ALL.get(usize::from(proof))?;
        let mut reader = Reader {
            question: OwnedQuestion {
                verb: verb(place)?,
                target: Target::Nowhere(Failure::hidden(Reason::RouteNone, "it was not kept")),
                caller: Caller::direct(Principal::Anonymous, how),
                head: has(Flag::Head).then(OwnedHead::default),
                event: has(Flag::Event).then(Vec::new),
                trigger: None,
                copy: has(Flag::Copy),
                known: None,
            },
            known: Known { fields: Vec::new(), token: has(Flag::Token), whole: !has(Flag::Lost) },
            token: has(Flag::Token).then(nobodys_token),
        };
        let mut parts = Bytes(parts);
        while let Some(tag) = parts.byte() {
            let part = *PARTS.get(usize::from(tag))?;
            reader.part(part, Bytes(parts.short()?))?;
        }
        Some(reader.finish())
    }
}

struct Reader {
    question: OwnedQuestion,
    known: Known,
    token: Option<Token>,
}

impl Reader {
    fn part(&mut self, part: Part, mut bytes: Bytes<'_>) -> Option<()> {
        let question = &mut self.question;
        let field = match part {
            Part::Target => {
                question.target = target(&mut bytes)?;
                return Some(());
            }
            Part::Authority => {
                if let Target::Outside(outside) = &mut question.target {
                    outside.port = u16::from_be_bytes([bytes.byte()?, bytes.byte()?]);
                    outside.host = bytes.text()?.into();
                }
                return Some(());
            }
            Part::Trigger => {
                let name = bytes.text()?.parse().ok()?;
                question.trigger = Some(Namespaced::new(question.question().namespace()?.clone(), name));
                return Some(());
            }
            Part::TriggerElsewhere => {
                question.trigger = Some(bytes.text()?.parse().ok()?);
                return Some(());
            }
            Part::Via => {
                self.question.caller.via = Some(self.principal(&mut bytes)?);
                return Some(());
            }
            Part::PathCut => {
                self.head()?.path = format!("{}…", bytes.text()?);
                return Some(());
            }
            Part::Principal => {
                self.question.caller.principal = self.principal(&mut bytes)?;
                Field::Principal
            }
            Part::Origin => {
                self.question.caller.origin = self.principal(&mut bytes)?;
                Field::Origin
            }
            Part::Address => {
                let text = bytes.text()?;
                self.question.caller.address = if text.is_empty() { None } else { Some(text.parse().ok()?) };
                Field::Address
            }
            Part::Host => {
                self.head()?.host = bytes.text()?.to_owned();
                Field::Host
            }
            Part::Method => {
                self.head()?.method = bytes.text()?.to_owned();
                Field::Method
            }
            Part::Path => {
                self.head()?.path = bytes.text()?.to_owned();
                Field::Path
            }
            Part::Header => self.header(&mut bytes)?,
            Part::Attribute => self.attribute(&mut bytes)?,
            Part::Subject | Part::Audiences | Part::Presenter | Part::Claim => self.of_token(part, &mut bytes)?,
        };
        self.known.fields.push(field);
        Some(())
    }

    fn head(&mut self) -> Option<&mut OwnedHead> {
        self.question.head.as_mut()
    }

    fn header(&mut self, bytes: &mut Bytes<'_>) -> Option<Field> {
        let name = HeaderName::from_bytes(bytes.short()?).ok()?;
        while !bytes.is_empty() {
            let value = HeaderValue::from_bytes(bytes.short()?).ok()?;
            self.head()?.headers.append(name.clone(), value);
        }
        Some(Field::Header(name))
    }

    fn attribute(&mut self, bytes: &mut Bytes<'_>) -> Option<Field> {
        let name = text(bytes.short()?)?.to_owned();
        if bytes.byte().is_some() {
            let value = bytes.text()?.to_owned();
            self.question.event.as_mut()?.push((name.clone(), value));
        }
        Some(Field::Attribute(name.into()))
    }

    fn of_token(&mut self, part: Part, bytes: &mut Bytes<'_>) -> Option<Field> {
        match part {
            Part::Subject => {
                if let Some(token) = &mut self.token
                    && let Principal::Subject(subject) = principal(bytes, &self.question)?
                {
                    token.subject = subject;
                }
                Some(Field::AuthPrincipal)
            }
            Part::Audiences => {
                while !bytes.is_empty() {
                    let audience = text(bytes.short()?)?.into();
                    self.token.as_mut()?.audiences.push(audience);
                }
                Some(Field::AuthAudiences)
            }
            Part::Presenter => {
                let presenter = bytes.text()?;
                if let Some(token) = self.token.as_mut().filter(|_| !presenter.is_empty()) {
                    token.presenter = Some(presenter.into());
                }
                Some(Field::AuthPresenter)
            }
            _ => self.claim(bytes),
        }
    }

    fn claim(&mut self, bytes: &mut Bytes<'_>) -> Option<Field> {
        let keys = bytes.byte()?;
        let path: Option<Vec<String>> = (0..keys).map(|_| text(bytes.short()?).map(str::to_owned)).collect();
        let path = path?;
        if let Some(token) = self.token.as_mut().filter(|_| !bytes.is_empty()) {
            put(&mut token.claims, &path, serde_json::from_slice(bytes.0).ok()?);
        }
        Some(Field::AuthClaim(path.into()))
    }

    fn principal(&self, bytes: &mut Bytes<'_>) -> Option<Principal> {
        principal(bytes, &self.question)
    }

    fn finish(self) -> OwnedQuestion {
        let Self { mut question, known, token } = self;
        question.caller.token = token.map(Arc::new);
        question.known = Some(known);
        question
    }
}

/// Where a claim of several was kept, the members between are made.
fn put(claims: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        claims.insert(first.clone(), value);
        return;
    }
    if let Value::Object(members) = claims.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())) {
        put(members, rest, value);
    }
}

/// A token whose subject found no room. Only one that counts for the target is kept at all.
fn nobodys_token() -> Token {
    Token {
        subject: Subject { text: "".into(), scope: None },
        audiences: Vec::new(),
        presenter: None,
        claims: Map::new(),
        pass: Vec::new(),
        expires: 0,
    }
}

fn target(bytes: &mut Bytes<'_>) -> Option<Target> {
    let (aim, kind) = (*AIMS.get(usize::from(bytes.byte()?))?, *Kind::ALL.get(usize::from(bytes.byte()?))?);
    if aim == Aim::Nowhere {
        return Some(Target::Nowhere(Failure::hidden(Reason::RouteNone, "there was no target")));
    }
    let namespace: Name = text(bytes.short()?)?.parse().ok()?;
    if aim == Aim::Namespace {
        return Some(Target::Namespace(namespace));
    }
    let name: Name = text(bytes.short()?)?.parse().ok()?;
    let namespaced = Namespaced::new(namespace, name);
    Some(match aim {
        Aim::Function => Target::Function(namespaced),
        Aim::Topic => Target::Topic(namespaced),
        Aim::Subscription => Target::Subscription(namespaced),
        Aim::Resource => Target::Resource(ResourceId { kind, namespace: namespaced.namespace, name: namespaced.name }),
        // Nothing is dialled by it: the least reach will do.
        Aim::Outside | Aim::Namespace | Aim::Nowhere => {
            let reach = Ok(Reach::Public);
            Target::Outside(Outside { host: "".into(), port: 0, owner_kind: kind, owner: namespaced, reach })
        }
    })
}

/// A principal, where others may stand for it that were read before.
fn principal(bytes: &mut Bytes<'_>, question: &OwnedQuestion) -> Option<Principal> {
    Some(match *PRINCIPALS.get(usize::from(bytes.byte()?))? {
        Who::Anonymous => Principal::Anonymous,
        Who::Workload => Principal::Workload(bytes.text()?.parse().ok()?),
        Who::Subject => {
            let scope = text(bytes.short()?)?;
            let scope = if scope.is_empty() { None } else { Some(scope.parse().ok()?) };
            Principal::Subject(Subject { text: bytes.text()?.into(), scope })
        }
        Who::Same => question.caller.principal.clone(),
        Who::Trigger => {
            let domain: TrustDomain = bytes.text()?.parse().ok()?;
            Principal::Workload(domain.trigger(question.trigger.as_ref()?))
        }
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Bytes behind their length.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        let (bytes, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(bytes)
    }

    /// All that is left, as text.
    fn text(&mut self) -> Option<&'a str> {
        text(std::mem::take(&mut self.0))
    }
}
