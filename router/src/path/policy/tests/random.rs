//! Random policies and questions out of few words, so that they meet. Made from a string of choices, which proptest
//! shrinks: no choice is the first one.

use proptest::prelude::*;
use serde_json::json;
use weft_functions::manifest::Kind;
use weft_functions::policy::{
    Action, Condition, ConditionKey, Match, Operation, Policy, Rule, Source, StringMatch, Target as Bound, Verb,
};

use super::given::*;
use crate::path::call::Target;
use crate::path::caller::{Caller, Principal, Proof, workload};
use crate::path::policy::{Default, OwnedQuestion, PolicyIndex};

const NAMESPACES: [&str; 3] = ["default", "shop", "weft-system"];
const IDS: [&str; 5] = [
    SHOP,
    "spiffe://weft.local/ns/shop/sa/clerk",
    "spiffe://weft.local/ns/shop/fn/billing",
    "spiffe://weft.local/ns/default/trigger/bill",
    "spiffe://weft.local/node/n1",
];
const ID_MATCHES: [&str; 9] = [
    SHOP,
    "spiffe://weft.local/ns/shop/sa/clerk",
    "spiffe://weft.local/node/n1",
    "spiffe://weft.local/ns/default/*",
    "spiffe://weft.local/*",
    "spiffe://weft.local/ns/shop/sa/*",
    "*/sa/shop",
    "*clerk",
    "*",
];
const SUBJECTS: [&str; 2] = ["corp/ann", "corp/bob"];
const SUBJECT_MATCHES: [&str; 4] = ["corp/ann", "corp/*", "*/bob", "*"];
const WORDS: [&str; 4] = ["a", "ab", "abc", "b"];
const WORD_MATCHES: [&str; 7] = ["a", "ab", "b", "a*", "ab*", "*b", "*"];
const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/a/b/c", "/b"];
const PATH_MATCHES: [&str; 8] = ["/a", "/a/b", "/a*", "/a/*", "*b", "/a/{*}", "/{*}/b/{**}", "/a/{**}"];
const BLOCKS: [&str; 3] = ["10.0.0.1", "10.0.0.0/8", "::/0"];

/// What an index is made of, and what it is asked.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) default: Default,
    pub(super) policies: Vec<Policy>,
    /// The defaults of the first two namespaces.
    pub(super) defaults: [Option<Default>; 2],
    /// Whether workloads of `shop` are bound to their sources.
    pub(super) bound: bool,
    pub(super) question: OwnedQuestion,
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    proptest::collection::vec(any_byte(), 0..700).prop_map(|choices| Choices(choices.into_iter()).case())
}

pub(super) fn config() -> ProptestConfig {
    ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_byte() -> impl Strategy<Value = u8> {
    proptest::num::u8::ANY
}

impl Case {
    pub(super) fn index(&self) -> PolicyIndex {
        let mut rules = rules(self.policies.clone());
        for (namespace, default) in NAMESPACES.iter().zip(self.defaults) {
            if default.is_some() {
                rules.entry(namespace.parse().expect("a name")).or_default().default = default;
            }
        }
        if self.bound {
            let shop = rules.entry("shop".parse().expect("a name")).or_default();
            shop.source_prefixes = vec!["/a".parse().expect("a prefix")];
        }
        PolicyIndex::new(self.default, []).with(rules)
    }
}

struct Choices(std::vec::IntoIter<u8>);

impl Choices {
    fn pick(&mut self, of: usize) -> usize {
        usize::from(self.0.next().unwrap_or_default()) % of
    }

    /// One in `of`, and not without a choice.
    fn rarely(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.pick(of.len())]
    }

    fn some<T: Copy>(&mut self, of: &[T], most: usize) -> Vec<T> {
        (0..self.pick(most + 1)).map(|_| self.one(of)).collect()
    }

    fn case(&mut self) -> Case {
        let defaults = [None, Some(Default::Allow), Some(Default::Deny)];
        let question = self.question();
        Case {
            default: self.one(&[Default::Deny, Default::Allow]),
            defaults: [self.one(&defaults), self.one(&defaults)],
            bound: self.rarely(3),
            policies: (0..self.pick(9)).map(|at| self.policy(at)).collect(),
            question,
        }
    }

    fn policy(&mut self, at: usize) -> Policy {
        let name = format!("{}/p{at}", self.one(&NAMESPACES));
        let action = self.one(&[Action::Allow, Action::Deny, Action::Allow, Action::Audit]);
        let rules = (0..self.pick(4)).map(|_| self.rule()).collect();
        let mut policy = policy(&name, action, rules);
        let kinds =
            [(Kind::Function, "billing"), (Kind::Topic, "orders"), (Kind::Trigger, "bill"), (Kind::Function, "a")];
        if self.rarely(2) {
            let bound = self.some(&kinds, 2).into_iter();
            policy.spec.targets =
                bound.map(|(kind, name)| Bound { kind, name: name.parse().expect("a name") }).collect();
        }
        policy
    }

    fn rule(&mut self) -> Rule {
        Rule {
            from: (0..self.pick(3)).map(|_| self.source()).collect(),
            to: (0..self.pick(3)).map(|_| self.operation()).collect(),
            when: (0..self.pick(2)).map(|_| self.condition()).collect(),
        }
    }

    fn matches(&mut self, of: &[&str]) -> Match<StringMatch> {
        let one = [self.one(of)];
        let (more, not) = (self.some(of, 2), self.some(of, 1));
        match self.pick(3) {
            0 => any_of(&[&one[..], &more].concat()),
            1 => none_of(&one),
            _ => Match { any: any_of(&one).any, none: none_of(&not).none },
        }
    }

    fn source(&mut self) -> Source {
        let mut source = Source::default();
        for _ in 0..=self.pick(2) {
            match self.pick(5) {
                0 => source.principals = self.matches(&ID_MATCHES),
                1 => source.namespaces = self.matches(&["default", "shop", "s*", "*"]),
                2 => source.origins = self.matches(&[&ID_MATCHES[..], &SUBJECT_MATCHES].concat()),
                3 => source.request_principals = self.matches(&SUBJECT_MATCHES),
                _ => source.ip_blocks = read_as(&self.matches(&BLOCKS)),
            }
        }
        source
    }

    fn operation(&mut self) -> Operation {
        let mut operation = Operation { verbs: self.some(&Verb::ALL, 3), ..Operation::default() };
        for _ in 0..self.pick(3) {
            match self.pick(7) {
                0 => operation.hosts = self.matches(&WORD_MATCHES),
                1 => operation.methods = self.matches(&["GET", "P*"]),
                2 => {
                    let texts = self.some(&PATH_MATCHES, 3);
                    let mut paths = texts.iter().map(|path| path.parse().expect("a path"));
                    operation.paths.none.extend(paths.next());
                    operation.paths.any.extend(paths);
                }
                3 => operation.topics = self.matches(&["orders", "letters", "o*", "*"]),
                4 => operation.functions = self.matches(&["billing", "a", "b*", "*"]),
                5 => operation.types = self.matches(&WORD_MATCHES),
                _ => operation.sources = self.matches(&["/a", "/a/b", "/a*", "*b"]),
            }
        }
        operation
    }

    fn condition(&mut self) -> Condition {
        let (key, of): (_, &[&str]) = match self.pick(9) {
            0 => (ConditionKey::Header("x-a".into()), &WORD_MATCHES),
            1 => (ConditionKey::SourcePrincipal, &ID_MATCHES),
            2 => (ConditionKey::SourceNamespace, &["default", "shop"]),
            3 => (ConditionKey::OriginPrincipal, &ID_MATCHES),
            4 => (ConditionKey::AuthPrincipal, &SUBJECT_MATCHES),
            5 => (ConditionKey::AuthAudiences, &WORD_MATCHES),
            6 => (ConditionKey::AuthPresenter, &WORD_MATCHES),
            7 => (ConditionKey::AuthClaim(vec!["x".into(), "y".into()]), &WORD_MATCHES),
            _ => (ConditionKey::EventAttribute(self.one(&["type", "subject"]).into()), &WORD_MATCHES),
        };
        Condition { key, values: self.matches(of) }
    }

    fn question(&mut self) -> OwnedQuestion {
        let verb = self.one(&Verb::ALL);
        let mut question = question(verb);
        let namespace = self.one(&NAMESPACES);
        match &mut question.target {
            Target::Function(function) => *function = name(&format!("{namespace}/{}", self.one(&["billing", "a"]))),
            Target::Topic(topic) | Target::Subscription(topic) => {
                *topic = name(&format!("{namespace}/{}", self.one(&["orders", "letters"])));
            }
            Target::Outside(outside) => {
                outside.owner.namespace = namespace.parse().expect("a name");
                outside.owner_kind = self.one(&[Kind::Function, Kind::Trigger]);
            }
            Target::Resource(id) => {
                id.namespace = namespace.parse().expect("a name");
                id.kind = self.one(&[Kind::Topic, Kind::Function]);
            }
            Target::Namespace(_) | Target::Nowhere(_) => {}
        }
        if self.rarely(2) {
            question.trigger = Some(name(self.one(&["default/bill", "shop/bill"])));
        }
        question.copy = self.rarely(8);
        question.caller = self.caller();
        self.head(&mut question);
        question
    }

    fn caller(&mut self) -> Caller {
        let mut caller = match self.pick(6) {
            5 => Caller::nobody(),
            _ => Caller::direct(workload(self.one(&IDS)), Proof::Mtls),
        };
        if self.rarely(3) {
            let claim = [json!("a"), json!("ab"), json!(["b", "abc"]), json!(7), json!([])][self.pick(5)].clone();
            let claims = [json!({ "x": { "y": claim } }), json!({ "x": "a" }), json!({})][self.pick(3)].clone();
            let mut token = token(self.one(&SUBJECTS), claims);
            token.subject.scope =
                self.one(&[None, Some("default"), Some("shop")]).map(|ns| ns.parse().expect("a name"));
            token.presenter = self.one(&[None, Some("a"), Some("b")]).map(Into::into);
            token.audiences = self.some(&WORDS, 2).into_iter().map(Into::into).collect();
            caller.show(std::sync::Arc::new(token));
        }
        if self.rarely(3) {
            caller.origin = self.one(&[Principal::Anonymous, workload(IDS[1]), workload(IDS[4])].each_ref()).clone();
        }
        caller.via = self.rarely(3).then(|| workload(IDS[3]));
        caller.address = self.one(&[None, Some("10.0.0.1"), Some("fd00::1")]).map(|ip| ip.parse().expect("an address"));
        caller
    }

    fn head(&mut self, question: &mut OwnedQuestion) {
        if let Some(head) = &mut question.head {
            head.host = self.one(&WORDS).to_owned();
            head.method = self.one(&["GET", "POST", "PUT"]).to_owned();
            head.path = self.one(&PATHS).to_owned();
            for _ in 0..self.pick(3) {
                let value = self.one(&["a", "ab", "b", "a,b", "ab, abc", "", "\u{e4}"]);
                head.headers.append("x-a", http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
            }
        }
        if let Some(event) = &mut question.event {
            event.clear();
            event.push(("type".to_owned(), self.one(&WORDS).to_owned()));
            event.push(("source".to_owned(), self.one(&["/a", "/a/b", "/b"]).to_owned()));
            event.extend(self.rarely(2).then(|| ("subject".to_owned(), self.one(&WORDS).to_owned())));
        }
        if question.verb == Verb::Publish && self.rarely(3) {
            question.event = None;
        }
    }
}
