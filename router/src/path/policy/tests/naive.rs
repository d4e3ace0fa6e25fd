//! Policy told a second time, as a person would read it: every rule in order, with nothing compiled and nothing looked up.
//! The index must say the same of random policies and questions, by the same rule.

use proptest::prelude::*;
use serde_json::Value;
use weft_functions::manifest::Kind;
use weft_functions::policy::{
    Action, ConditionKey, Match, Operation, PathMatch, Policy, Rule, Source, StringMatch, Verb,
};
use weft_functions::value::IpBlock;

use super::given::*;
use super::random::{Case, cases, config};
use crate::path::call::Target;
use crate::path::caller::{Principal, Token};
use crate::path::policy::{Default, OwnedQuestion, explain};
use crate::path::snapshot::Snapshot;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    No,
    Maybe,
    Yes,
}

fn is(holds: bool) -> Is {
    if holds { Is::Yes } else { Is::No }
}

/// What a question has for a field.
enum Has {
    Texts(Vec<String>),
    /// Values of a header; `None` is not text.
    Headers(Vec<Option<String>>),
    Nobody,
    Odd,
    Unknown,
}

enum Pattern<'a> {
    Text(&'a StringMatch),
    Path(&'a PathMatch),
    Block(&'a IpBlock),
}

impl Pattern<'_> {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(pattern) => pattern.matches(text),
            Self::Path(pattern) => pattern.matches(text),
            Self::Block(block) => block.contains(text.parse().expect("an address")),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self, Self::Text(StringMatch::Exact(_) | StringMatch::Present))
    }
}

fn field<T>(has: Has, wanted: &Match<T>, pattern: fn(&T) -> Pattern<'_>, denies: bool) -> Is {
    let list = |list: &[T], text: &str| list.iter().any(|entry| pattern(entry).matches(text));
    let (no_any, no_none) = (wanted.any.is_empty(), wanted.none.is_empty());
    match has {
        _ if no_any && no_none => Is::Yes,
        Has::Unknown => Is::Maybe,
        Has::Odd => is(denies),
        Has::Nobody => is(no_any && denies),
        Has::Texts(texts) => is((no_any || texts.iter().any(|text| list(&wanted.any, text)))
            && !texts.iter().any(|text| list(&wanted.none, text))),
        Has::Headers(values) if values.is_empty() => is(no_any),
        Has::Headers(values) => {
            let Some(values) = values.into_iter().collect::<Option<Vec<String>>>() else { return is(denies) };
            let parts = |value: &str| value.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
            let some =
                |of: &[T]| values.iter().any(|value| list(of, value) || parts(value).iter().any(|part| list(of, part)));
            let whole = |of: &[T], value: &str| {
                of.iter().any(|entry| pattern(entry).is_whole() && pattern(entry).matches(value))
            };
            let all = |of: &[T]| {
                values.iter().all(|value| whole(of, value) || parts(value).iter().all(|part| list(of, part)))
            };
            let (wants, wants_not) =
                if denies { (some(&wanted.any), all(&wanted.none)) } else { (all(&wanted.any), some(&wanted.none)) };
            is((no_any || wants) && (no_none || !wants_not))
        }
    }
}

fn texts(value: Option<&str>) -> Has {
    Has::Texts(value.map(str::to_owned).into_iter().collect())
}

fn identity(value: Option<&str>) -> Has {
    value.map_or(Has::Nobody, |value| texts(Some(value)))
}

fn namespace(question: &OwnedQuestion) -> &str {
    match &question.target {
        Target::Function(name) | Target::Topic(name) | Target::Subscription(name) => name.namespace.as_str(),
        Target::Outside(outside) => outside.owner.namespace.as_str(),
        Target::Resource(id) => id.namespace.as_str(),
        Target::Namespace(name) => name.as_str(),
        Target::Nowhere(_) => panic!("nowhere"),
    }
}

fn aim(question: &OwnedQuestion) -> (Kind, &str) {
    match &question.target {
        Target::Function(name) => (Kind::Function, name.name.as_str()),
        Target::Topic(name) | Target::Subscription(name) => (Kind::Topic, name.name.as_str()),
        Target::Outside(outside) => (outside.owner_kind, outside.owner.name.as_str()),
        Target::Resource(id) => (id.kind, id.name.as_str()),
        Target::Namespace(_) | Target::Nowhere(_) => panic!("no resource"),
    }
}

fn token(question: &OwnedQuestion) -> Option<&Token> {
    let token = question.caller.token.as_deref()?;
    let counts = token.subject.scope.as_ref().is_none_or(|scope| scope.as_str() == namespace(question));
    counts.then_some(token)
}

fn condition(question: &OwnedQuestion, key: &ConditionKey) -> Has {
    let caller = &question.caller;
    let of_token = |read: &dyn Fn(&Token) -> Has| token(question).map_or(Has::Nobody, read);
    match key {
        ConditionKey::SourcePrincipal => identity(caller.principal.workload().map(|id| id.as_str())),
        ConditionKey::SourceNamespace => match caller.principal.workload() {
            Some(id) => texts(id.namespace()),
            None => Has::Nobody,
        },
        ConditionKey::OriginPrincipal => match &caller.origin {
            Principal::Workload(id) => identity(Some(id.as_str())),
            Principal::Subject(subject)
                if subject.scope.as_ref().is_none_or(|scope| scope.as_str() == namespace(question)) =>
            {
                identity(Some(&subject.text))
            }
            _ => Has::Nobody,
        },
        ConditionKey::AuthPrincipal => of_token(&|token| identity(Some(&token.subject.text))),
        ConditionKey::AuthAudiences => {
            of_token(&|token| Has::Texts(token.audiences.iter().map(ToString::to_string).collect()))
        }
        ConditionKey::AuthPresenter => of_token(&|token| texts(token.presenter.as_deref())),
        ConditionKey::AuthClaim(path) => of_token(&|token| {
            let mut value = &Value::Object(token.claims.clone());
            for key in path {
                match value {
                    Value::Object(members) if members.contains_key(key) => value = &members[key],
                    Value::Object(_) => return texts(None),
                    _ => return Has::Odd,
                }
            }
            match value {
                Value::String(text) => texts(Some(text)),
                Value::Array(list) => {
                    let all: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
                    all.map_or(Has::Odd, Has::Texts)
                }
                _ => Has::Odd,
            }
        }),
        ConditionKey::Header(name) => {
            let values = question.head.iter().flat_map(|head| head.headers.get_all(name));
            Has::Headers(values.map(|value| value.to_str().ok().map(str::to_owned)).collect())
        }
        ConditionKey::EventAttribute(name) => match &question.event {
            None => Has::Unknown,
            Some(event) => texts(event.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())),
        },
    }
}

fn text(pattern: &StringMatch) -> Pattern<'_> {
    Pattern::Text(pattern)
}

fn source(source: &Source, question: &OwnedQuestion, denies: bool) -> Is {
    let get = |key| condition(question, &key);
    let address = question.caller.address.map(|address| address.to_string());
    if !source.applies_to(question.verb) {
        return Is::No;
    }
    [
        field(get(ConditionKey::SourcePrincipal), &source.principals, text, denies),
        field(get(ConditionKey::SourceNamespace), &source.namespaces, text, denies),
        field(get(ConditionKey::OriginPrincipal), &source.origins, text, denies),
        field(get(ConditionKey::AuthPrincipal), &source.request_principals, text, denies),
        field(texts(address.as_deref()), &source.ip_blocks, |block| Pattern::Block(block), denies),
    ]
    .into_iter()
    .min()
    .expect("five")
}

fn operation(operation: &Operation, question: &OwnedQuestion, denies: bool) -> Is {
    if !operation.applies_to(question.verb) {
        return Is::No;
    }
    let head = question.head.as_ref();
    let attribute = |name: &str| condition(question, &ConditionKey::EventAttribute(name.to_owned()));
    let named = |kind| texts(Some(aim(question)).filter(|(of, _)| *of == kind).map(|(_, name)| name));
    [
        field(texts(head.map(|head| head.host.as_str())), &operation.hosts, text, denies),
        field(texts(head.map(|head| head.method.as_str())), &operation.methods, text, denies),
        field(texts(head.map(|head| head.path.as_str())), &operation.paths, |path| Pattern::Path(path), denies),
        field(named(Kind::Topic), &operation.topics, text, denies),
        field(named(Kind::Function), &operation.functions, text, denies),
        field(attribute("type"), &operation.types, text, denies),
        field(attribute("source"), &operation.sources, text, denies),
    ]
    .into_iter()
    .min()
    .expect("seven")
}

fn matches(rule: &Rule, question: &OwnedQuestion, denies: bool) -> Is {
    let one_of = |all: Vec<Is>| if all.is_empty() { Is::Yes } else { all.into_iter().max().expect("some") };
    if !rule.applies_to(question.verb) {
        return Is::No;
    }
    let from = one_of(rule.from.iter().map(|from| source(from, question, denies)).collect());
    let to = one_of(rule.to.iter().map(|to| operation(to, question, denies)).collect());
    let when = rule.when.iter().map(|when| field(condition(question, &when.key), &when.values, text, denies));
    when.min().unwrap_or(Is::Yes).min(from).min(to)
}

fn selects(policy: &Policy, question: &OwnedQuestion) -> bool {
    let (own, verb) = (policy.metadata.namespace.as_str() == namespace(question), question.verb);
    let targets = &policy.spec.targets;
    let through = question.trigger.as_ref().filter(|trigger| {
        matches!(verb, Verb::Consume | Verb::Deliver) && trigger.namespace.as_str() == namespace(question)
    });
    let bound = |kind: Kind, name: &str| {
        aim(question) == (kind, name)
            || kind == Kind::Trigger && through.is_some_and(|through| through.name.as_str() == name)
    };
    let targeted = targets.is_empty()
        || own && targets.iter().any(|target| verb.applies_to(target.kind) && bound(target.kind, target.name.as_str()));
    let about = policy.spec.rules.iter().any(|rule| rule.applies_to(verb));
    (own || policy.metadata.namespace.as_str() == "weft-system")
        && targeted
        && (about
            || policy.spec.action == Action::Allow && policy.spec.rules.is_empty() && Verb::TRAFFIC.contains(&verb))
}

/// The answer as the index words it.
fn naive(case: &Case) -> String {
    let question = &case.question;
    let mut selected: Vec<&Policy> = case.policies.iter().filter(|policy| selects(policy, question)).collect();
    selected.sort_by_key(|policy| policy.metadata.namespace.as_str() != "weft-system");
    let first = |action: Action, denies: bool| {
        let mut maybe = false;
        for policy in selected.iter().filter(|policy| policy.spec.action == action) {
            for (number, rule) in policy.spec.rules.iter().enumerate() {
                match matches(rule, question, denies) {
                    Is::Yes => return (Some(format!("policy {} rule {number}", policy.metadata.namespaced())), maybe),
                    Is::Maybe => maybe = true,
                    Is::No => {}
                }
            }
        }
        (None, maybe)
    };
    let (denied, mut may_be_denied) = first(Action::Deny, true);
    if let Some(rule) = denied {
        return format!("refused: {rule}");
    }
    let publisher = question.caller.principal.workload().and_then(|id| id.namespace());
    if case.bound && question.verb == Verb::Publish && !question.copy && publisher == Some("shop") {
        match &question.event {
            None => may_be_denied = true,
            Some(event) if event[1].1 == "/b" => return "refused: sourcePrefixes".to_owned(),
            Some(_) => {}
        }
    }
    let allowed = |ground: String| if may_be_denied { "unknown".to_owned() } else { format!("allowed: {ground}") };
    match first(Action::Allow, false) {
        (Some(rule), _) => return allowed(rule),
        (None, true) => return "unknown".to_owned(),
        (None, false) => {}
    }
    if selected.iter().any(|policy| policy.spec.action == Action::Allow) {
        return "refused: no ALLOW policy matches".to_owned();
    }
    let administrates = matches!(question.verb, Verb::Read | Verb::Apply | Verb::Operate);
    let own = match namespace(question) {
        "default" if !administrates => case.defaults[0],
        "shop" if !administrates => case.defaults[1],
        _ => None,
    };
    let default = match question.verb {
        Verb::Consume if publisher == Some(namespace(question)) => Default::Allow,
        Verb::Consume => Default::Deny,
        _ => own.unwrap_or(case.default),
    };
    if default == Default::Allow { allowed("default".to_owned()) } else { "refused: default".to_owned() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_index_says_what_a_reader_would(case in cases()) {
        prop_assert_eq!(ruling(&case.index(), &case.question), naive(&case));
    }

    #[test]
    fn an_explanation_is_of_the_decision_that_was_made(case in cases()) {
        let snapshot = Snapshot::of_policy(1, case.index());
        let decided = snapshot.policy.evaluate(case.question.question());
        let explained = explain(&snapshot, case.question.question());
        prop_assert_eq!(&explained.ruling, &decided.ruling);
        prop_assert_eq!(&explained.audited, &decided.audited);
        // Of the steps that match, the last one is what the answer rests on, and none before it in its phase matches.
        let matching = explained.steps.iter().filter(|step| step.matches == Some(true) && step.phase.as_str() != "audit");
        let matching: Vec<_> = matching.collect();
        let rests_on = said(&decided.ruling);
        match (matching.as_slice(), &rests_on[..]) {
            ([], "unknown" | "refused: no ALLOW policy matches") => {}
            ([_], "unknown") => {}
            ([step], _) => match (&step.policy, step.rule) {
                (Some(policy), Some(rule)) => {
                    let rule = format!("policy {policy} rule {rule}");
                    prop_assert!(rests_on.ends_with(&rule), "{} {}", rests_on, rule);
                },
                _ => prop_assert!(rests_on.ends_with("default") || rests_on.ends_with("sourcePrefixes")),
            },
            (steps, rests_on) => prop_assert!(false, "{:?} {}", steps, rests_on),
        }
        // Whatever was not asked after is not what a reader would find matching.
        let noted = explained.steps.iter().filter(|step| step.matches == Some(true) && step.phase.as_str() == "audit");
        prop_assert_eq!(noted.count(), decided.audited.len());
    }
}
