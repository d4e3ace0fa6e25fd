//! From a question and what is known around it to an explanation: the verdict, every step of policy, the target with
//! what was not meant, and what the function would do. The same for what happens now and for what happened; only where
//! the rules and the outcome come from differs.

use std::sync::Arc;

use weft_functions::function;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::super::built_in;
use super::super::timestamp::rfc3339;
use super::contract::{
    Asked, Asking, Event, Explained, Happened, Identity, Instance, Limits, Loser, Policy, Revision, Route,
    Snapshot as Version, Step,
};
use crate::path::call::{Outside, Target};
use crate::path::caller::{Caller, Principal, Proof};
use crate::path::decision::DecisionId;
use crate::path::decisions::Kept;
use crate::path::history::Facts;
use crate::path::policy::{self, Decision, Explanation, Ground, OwnedQuestion, Question, Ruling};
use crate::path::snapshot::{DeployedFunction, Snapshot};

/// Targets that somebody may have meant, at most.
const LOSERS_MAX: usize = 5;

/// What is known around a call.
pub(super) struct Situation<'a> {
    pub(super) now_ms: u64,
    /// The snapshot that judges.
    pub(super) number: u64,
    /// When it was put in force.
    pub(super) since_ms: Option<u64>,
    /// What is asked; `None` if it was not kept.
    pub(super) question: Option<&'a OwnedQuestion>,
    /// What was known of the target then.
    pub(super) facts: Option<Arc<Facts>>,
}

impl Situation<'_> {
    /// What would happen now.
    pub(super) fn foreseen(&self, snapshot: &Snapshot) -> Explained {
        let mut explained = self.about();
        let Some(owned) = self.question else { return explained };
        let question = owned.question();
        let Asking { verdict, code, policy } = ask(snapshot, question);
        (explained.verdict, explained.code, explained.policy) = (verdict, code, policy);
        explained.why = why_not(snapshot, question);
        if let Target::Outside(Outside { reach: Err(failure), .. }) = &owned.target
            && verdict == "allow"
        {
            // Policy lets it go where its owner does not list.
            (explained.verdict, explained.code) = (failure.reason.verdict().as_str(), failure.reason.code());
            explained.why = Some(failure.log.to_string());
        }
        explained.route.losers = losers(snapshot, &owned.target);
        if let Target::Function(name) = &owned.target
            && let Some(function) = snapshot.functions.get(name)
        {
            explained.instance = Some(instance(function));
        }
        explained
    }

    /// What happened.
    pub(super) fn remembered(&self, id: DecisionId, kept: &Kept, rules: Option<&Snapshot>) -> Explained {
        let mut explained = self.about();
        explained.decision = Some(id.to_string());
        (explained.kind, explained.verb) = (kind(kept.verb), kept.verb.as_str());
        explained.verdict = kept.verdict().as_str();
        explained.code = kept.reason.map_or("OK", |reason| reason.code());
        explained.why = self.why_of_then(kept, rules);
        explained.call = Some(happened(kept));
        explained.policy = self.policy_of_then(kept, rules);
        if let Some(target) = kept.target.as_ref().filter(|_| self.question.is_none()) {
            explained.asked.target = target.to_string();
            explained.route.name = Some(target.to_string());
        }
        explained
    }

    /// Why it failed. Not all of the words are kept of every call: where the rules of then say the same and more, the words
    /// are theirs.
    fn why_of_then(&self, kept: &Kept, rules: Option<&Snapshot>) -> Option<String> {
        let kept = (!kept.why.is_empty()).then(|| kept.why.clone())?;
        let whole = rules.zip(self.question).and_then(|(rules, question)| why_not(rules, question.question()));
        Some(whole.filter(|whole| whole.starts_with(&kept)).unwrap_or(kept))
    }

    /// What does not depend on the verdict.
    fn about(&self) -> Explained {
        let question = self.question;
        let verb = question.map_or(Verb::Request, |question| question.verb);
        let via = question.and_then(|question| question.caller.via.as_ref());
        let function = question.is_some_and(|question| matches!(question.target, Target::Function(_)));
        let revision = self.facts.as_ref().and_then(|facts| facts.revision.as_ref()).filter(|_| function);
        Explained {
            decision: None,
            kind: kind(verb),
            verb: verb.as_str(),
            via: via.map(ToString::to_string),
            verdict: "deferred",
            code: "OK",
            why: None,
            call: None,
            asked: question.map(asked).unwrap_or_default(),
            identity: question.map(|question| identity(&question.caller)).unwrap_or_default(),
            route: question.map(|question| route(question, self.facts.as_deref())).unwrap_or_default(),
            policy: Policy::default(),
            revision: revision.map(|(name, _)| Revision { name: name.clone(), weight: 100 }),
            instance: None,
            limits: revision.map(|(_, limits)| of_limits(limits)),
            event: question.and_then(event),
            snapshot: Version {
                version: self.number,
                age_ms: self.since_ms.map(|since| self.now_ms.saturating_sub(since)),
                kept: self.since_ms.is_some(),
            },
        }
    }

    /// The steps by the rules of then. What was recorded is the verdict; the steps say how it came about, as far as what
    /// was kept tells.
    fn policy_of_then(&self, kept: &Kept, rules: Option<&Snapshot>) -> Policy {
        let deciding = kept.ground.as_ref().map(ToString::to_string);
        let noted =
            |note: &str| Policy { deciding: deciding.clone(), note: Some(note.to_owned()), ..Policy::default() };
        let Some(owned) = self.question else {
            return noted("who asked for what is not known any more");
        };
        if kept.ground.is_none() {
            // Nothing to judge: it was nowhere, or not a request at all.
            return Policy::default();
        }
        let Some(rules) = rules else {
            let number = self.number;
            return noted(&format!("it was judged by snapshot {number}, whose rules are not kept any more"));
        };
        let explanation = policy::explain(rules, owned.question());
        let differs = match &explanation.ruling {
            Ruling::Allowed(ground) | Ruling::Refused(ground) => Some(ground) != kept.ground.as_ref(),
            Ruling::Unknown => true,
        };
        let mut policy = of_explanation(explanation, kept.ground.as_ref());
        if differs || !owned.is_whole() {
            policy.note = Some("not everything that the rules look at was kept".to_owned());
        }
        policy
    }
}

/// Puts a question to policy, and its answer into words.
pub(super) fn ask(snapshot: &Snapshot, question: Question<'_>) -> Asking {
    let (verdict, code, ground) = match policy::decide(snapshot, question) {
        Decision::Permit(permit) => ("allow", "OK", permit.labels().ground.clone()),
        Decision::Denied(denied) => {
            let reason = denied.failure.reason;
            (reason.verdict().as_str(), reason.code(), denied.labels.ground)
        }
        Decision::NeedsEvent(_) => ("deferred", "NEEDS_EVENT", None),
    };
    let policy = match question.target {
        Target::Nowhere(_) => Policy::default(),
        _ => of_explanation(policy::explain(snapshot, question), ground.as_ref()),
    };
    Asking { verdict, code, policy }
}

fn why_not(snapshot: &Snapshot, question: Question<'_>) -> Option<String> {
    match policy::decide(snapshot, question) {
        Decision::Permit(_) => None,
        Decision::Denied(denied) => Some(denied.failure.log.into_owned()),
        Decision::NeedsEvent(_) => Some("it depends on the event: ask with weft explain event".to_owned()),
    }
}

fn of_explanation(explanation: Explanation, ground: Option<&Ground>) -> Policy {
    let step = |step: policy::Step| Step {
        phase: step.phase.as_str(),
        policy: step.policy.as_deref().map(ToOwned::to_owned),
        rule: step.rule,
        matches: step.matches,
        why: step.why,
        source: step.source.map(|source| match &*source.file {
            built_in::FILE => built_in::FILE.to_owned(),
            _ => source.to_string(),
        }),
    };
    Policy {
        steps: explanation.steps.into_iter().map(step).collect(),
        deciding: ground.map(ToString::to_string),
        audited: explanation.audited.iter().map(ToString::to_string).collect(),
        omitted: explanation.omitted,
        note: None,
    }
}

fn happened(kept: &Kept) -> Happened {
    let ending = kept.ending;
    Happened {
        at: rfc3339(kept.at_ms),
        status: kept.status,
        head_us: kept.head.as_micros() as u64,
        duration_us: ending.map(|ending| ending.duration.as_micros() as u64),
        end: ending.map(|ending| ending.end.as_str()),
        bytes: ending.map(|ending| ending.bytes),
    }
}

fn kind(verb: Verb) -> &'static str {
    match verb {
        Verb::Request => "request",
        Verb::Publish => "event",
        Verb::Consume | Verb::Deliver => "delivery",
        Verb::Egress => "egress",
        Verb::Read | Verb::Apply | Verb::Operate => "admin",
    }
}

fn asked(question: &OwnedQuestion) -> Asked {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let head = question.head.as_ref();
    Asked {
        target: question.target.to_string(),
        method: head.and_then(|head| part(&head.method)),
        host: head.and_then(|head| part(&head.host)),
        path: head.and_then(|head| part(&head.path)),
    }
}

fn identity(caller: &Caller) -> Identity {
    let known = |principal: &Principal| (*principal != Principal::Anonymous).then(|| principal.to_string());
    Identity {
        peer: caller.principal.workload().map(ToString::to_string),
        user: match (&caller.token, &caller.principal) {
            (Some(token), _) => Some(token.subject.text.to_string()),
            (None, Principal::Subject(subject)) => Some(subject.text.to_string()),
            (None, _) => None,
        },
        origin: known(&caller.origin),
        via: caller.via.iter().map(ToString::to_string).collect(),
        how: caller.how.as_str(),
    }
}

fn route(question: &OwnedQuestion, facts: Option<&Facts>) -> Route {
    let head = question.head.is_some();
    let matched = match &question.target {
        Target::Function(_) if question.verb == Verb::Request => vec!["host"],
        Target::Function(_) | Target::Subscription(_) => vec!["trigger"],
        Target::Topic(_) if head => vec!["host", "path"],
        Target::Topic(_) => vec!["topic"],
        Target::Outside(_) => vec!["allowHosts"],
        Target::Resource(_) | Target::Namespace(_) => vec!["path"],
        Target::Nowhere(_) => Vec::new(),
    };
    let name = match &question.target {
        Target::Nowhere(_) => None,
        target => Some(target.to_string()),
    };
    Route { name, source: facts.map(|facts| facts.source.to_string()), matched, losers: Vec::new() }
}

/// What has the same name and lies elsewhere, or is meant by nearly the same words.
fn losers(snapshot: &Snapshot, target: &Target) -> Vec<Loser> {
    let alike = |meant: &Namespaced, there: &Namespaced| there != meant && there.name == meant.name;
    let why = |meant: &Namespaced, there: &Namespaced| format!("namespace {} != {}", there.namespace, meant.namespace);
    let mut losers: Vec<Loser> = match target {
        Target::Function(meant) => {
            let there = snapshot.functions.keys().filter(|there| alike(meant, there));
            there.map(|there| Loser { name: format!("function {there}"), why: why(meant, there) }).collect()
        }
        Target::Topic(meant) => {
            let there = snapshot.topics.keys().filter(|there| alike(meant, there));
            there.map(|there| Loser { name: format!("topic {there}"), why: why(meant, there) }).collect()
        }
        _ => Vec::new(),
    };
    losers.sort_by(|a, b| a.name.cmp(&b.name));
    losers.truncate(LOSERS_MAX);
    losers
}

/// What the runtime would do with a call now. Nothing is started to find out.
fn instance(function: &DeployedFunction) -> Instance {
    let (stats, scale) = (function.revision.stats(), function.resource.spec.scale);
    let (action, why) = match (stats.free, stats.loaded) {
        (0, _) if stats.queued >= scale.queue => {
            ("reject", format!("all {} places are taken, and so are all {} in the queue", scale.max, scale.queue))
        }
        (0, _) => ("queue", format!("all {} places are taken; {} calls wait", scale.max, stats.queued)),
        (_, true) => ("reuse", "its code is loaded".to_owned()),
        (_, false) => ("start", "it is at zero".to_owned()),
    };
    Instance { action, why }
}

fn of_limits(limits: &function::Limits) -> Limits {
    let ms = |duration: weft_functions::value::Duration| duration.get().as_millis() as u64;
    Limits {
        timeout_ms: ms(limits.timeout),
        cpu_ms: ms(limits.cpu),
        memory: limits.memory.bytes(),
        idle_ms: ms(limits.idle),
        stream_ms: ms(limits.stream),
    }
}

fn event(question: &OwnedQuestion) -> Option<Event> {
    let attributes = question.event.as_ref()?;
    let of = |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let topic = match &question.target {
        Target::Topic(name) | Target::Subscription(name) => Some(name.to_string()),
        _ => None,
    };
    Some(Event { topic, ty: of("type"), source: of("source"), subscriptions: Vec::new() })
}

/// How an identity that is only supposed would be proven.
pub(super) fn proof_of(caller: &Caller, snapshot: &Snapshot) -> Proof {
    match caller.principal.workload() {
        Some(id) if snapshot.functions.values().any(|function| function.identity == *id) => Proof::Node,
        Some(id) if snapshot.triggers.values().any(|trigger| trigger.identity == *id) => Proof::Node,
        Some(_) => Proof::Mtls,
        None => caller.how,
    }
}
