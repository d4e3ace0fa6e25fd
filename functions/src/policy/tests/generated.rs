//! Random specs: what [`PolicySpec::to_json`] writes reads back as the same spec, as JSON and as text.

use proptest::prelude::*;

use super::*;
use crate::value::Name;

/// Makes choices of random bytes; out of bytes, it chooses the first of everything, so that what fails shrinks.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % end)
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// Values of one form: those asked for and those excluded have nothing in common.
    fn values<T: std::str::FromStr<Err: std::fmt::Debug>>(&mut self, any: &[&str], none: &[&str]) -> Match<T> {
        let mut some = |of: &[&str]| (0..self.below(3)).map(|_| self.one(of).parse().expect("a value")).collect();
        Match { any: some(any), none: some(none) }
    }

    fn texts(&mut self, any: &[&str], none: &[&str]) -> Match<StringMatch> {
        self.values(any, none)
    }
}

const WORKLOADS: [&[&str]; 2] = [
    &["*", "spiffe://a.example/*", "spiffe://a/ns/a/sa/x", "*/ns/a/sa/y"],
    &["spiffe://b.example/*", "spiffe://b/n", "*/b"],
];
const SUBJECTS: [&[&str]; 2] = [&["*", "https://a.example/*", "a/x"], &["https://b.example/b", "*/b"]];
const NAMES: [&[&str]; 2] = [&["*", "a", "a*", "*a"], &["b", "b-*", "*-b"]];
const TEXTS: [&[&str]; 2] = [&["*", "a", "a b", "ä*", "*,a"], &["b", "b*", "*:b"]];

fn has(verbs: &[Verb], field: RuleField) -> bool {
    verbs.iter().all(|verb| verb.has(field))
}

fn source(dice: &mut Dice<'_>, verbs: &[Verb]) -> Source {
    let mut source = Source::default();
    if dice.below(2) == 0 {
        source.principals = dice.texts(WORKLOADS[0], WORKLOADS[1]);
    }
    if has(verbs, RuleField::RequestPrincipals) {
        source.request_principals = dice.texts(SUBJECTS[0], SUBJECTS[1]);
    }
    source.namespaces = dice.texts(NAMES[0], NAMES[1]);
    source.origins = dice.texts(WORKLOADS[0], WORKLOADS[1]);
    if has(verbs, RuleField::IpBlocks) {
        source.ip_blocks = dice.values(&["10.0.0.0/8", "::1", "10.1.2.3"], &["192.168.0.0/16", "fd00::/8"]);
    }
    if source == Source::default() {
        source.namespaces.none.push(StringMatch::Present);
    }
    source
}

fn operation(dice: &mut Dice<'_>, verbs: &[Verb], named: bool) -> Operation {
    let mut operation = Operation { verbs: verbs.to_vec(), ..Operation::default() };
    if has(verbs, RuleField::Hosts) {
        operation.hosts = dice.texts(&["*", "a.example", "*.a", "a.*", "[::1]"], &["b.example", "*.b"]);
    }
    if has(verbs, RuleField::Methods) {
        operation.paths =
            dice.values(&["*", "/a", "/a/*", "*.a", "/a/{*}/{**}"], &["/b/*", "/b/{*}", "/b/{**}", "*.b"]);
        operation.methods = dice.texts(&["*", "POST", "P*"], &["GET", "*T-"]);
    }
    if has(verbs, RuleField::Types) {
        operation.types = dice.texts(TEXTS[0], TEXTS[1]);
        operation.sources = dice.texts(&["*", "/a/*", "urn:a"], &["/b", "*#b"]);
    }
    // A call has one target.
    match dice.below(3) {
        1 if named && has(verbs, RuleField::Topics) => operation.topics = dice.texts(NAMES[0], NAMES[1]),
        2 if named && has(verbs, RuleField::Functions) => operation.functions = dice.texts(NAMES[0], NAMES[1]),
        _ => {}
    }
    operation
}

fn condition(dice: &mut Dice<'_>, verbs: &[Verb]) -> Condition {
    use ConditionKey as Key;
    let keys = [
        Key::SourcePrincipal,
        Key::SourceNamespace,
        Key::OriginPrincipal,
        Key::Header("x-a".into()),
        Key::AuthPrincipal,
        Key::AuthAudiences,
        Key::AuthPresenter,
        Key::AuthClaim(vec!["a b".into(), "https://c.example".into()]),
        Key::EventAttribute("subject".into()),
        Key::EventAttribute("source".into()),
    ];
    let fitting: Vec<Key> = keys.into_iter().filter(|key| has(verbs, key.field())).collect();
    let key = dice.one(&fitting).clone();
    let mut values = match &key {
        Key::SourcePrincipal | Key::OriginPrincipal => dice.texts(&["*"], WORKLOADS[1]),
        Key::SourceNamespace => dice.texts(&["*"], NAMES[1]),
        Key::AuthPrincipal => dice.texts(&["*"], SUBJECTS[1]),
        Key::EventAttribute(_) | Key::AuthPresenter => dice.texts(&["*"], &["/b"]),
        _ => dice.texts(TEXTS[0], TEXTS[1]),
    };
    if values.is_empty() {
        values.any.push(StringMatch::Present);
    }
    Condition { key, values }
}

fn spec(dice: &mut Dice<'_>) -> PolicySpec {
    let groups: [(&[Verb], Kind); 6] = [
        (&[Verb::Request], Kind::Function),
        (&[Verb::Publish], Kind::Topic),
        (&[Verb::Deliver], Kind::Trigger),
        (&[Verb::Request, Verb::Egress], Kind::Function),
        (&[Verb::Publish, Verb::Read], Kind::Topic),
        (&[Verb::Read, Verb::Apply, Verb::Operate], Kind::Trigger),
    ];
    let (verbs, kind) = *dice.one(&groups);
    let name = |text: &str| text.parse::<Name>().expect("a name");
    let targets: Vec<Target> = (0..dice.below(3)).map(|index| Target { kind, name: name(["x", "y"][index]) }).collect();
    let named = targets.is_empty();
    // A rule without verbs is about traffic, so one about administration has an operation that names them.
    let least = usize::from(verbs.contains(&Verb::Read));
    let rules = (0..dice.below(4)).map(|_| Rule {
        from: (0..dice.below(3)).map(|_| source(dice, verbs)).collect(),
        to: (0..dice.below(3).max(least)).map(|_| operation(dice, verbs, named)).collect(),
        when: (0..dice.below(3)).map(|_| condition(dice, verbs)).collect(),
    });
    let rules = rules.collect();
    PolicySpec { action: *dice.one(&Action::ALL), targets, rules }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(choices in prop::collection::vec(any::<u8>(), 0..300)) {
        let spec = spec(&mut Dice(choices.iter()));
        let location = Location { file: "log".into(), line: 1, column: 1 };
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let metadata = Metadata { name: name("p"), namespace: name("shop") };
        let policy = Policy { metadata, spec, location: location.clone(), rule_locations: Vec::new(), references: Vec::new() };
        let json = Resource::Policy(policy.clone().into()).to_json();
        let text = SourceFile::new("log", serde_json::to_string_pretty(&json).expect("text"));
        for read in [Resource::from_json(&json, location), parse(&[text]).map(|mut resources| resources.remove(0))] {
            match read {
                Ok(Resource::Policy(read)) => {
                    prop_assert_eq!(read.rule_locations.len(), read.spec.rules.len());
                    prop_assert_eq!(&read.spec, &policy.spec);
                }
                other => prop_assert!(false, "{}: {:?}", json, other),
            }
        }
    }
}
