//! Each field of a rule against a value that it means, another, and none; and each verb against each field.

use serde_json::json;
use weft_functions::policy::{ConditionKey, Match, Operation, Rule, RuleField, Source, StringMatch, Verb};

use super::given::*;
use crate::path::caller::{Caller, Principal};
use crate::path::policy::{Default, OwnedQuestion};

/// How a field is set in a rule and in a question.
struct Row {
    key: &'static str,
    field: RuleField,
    verb: Verb,
    /// Two values that a call can have.
    values: [&'static str; 2],
    rule: Box<dyn Fn(Match<StringMatch>) -> Rule>,
    ask: Ask,
}

/// Sets a question's value, or takes it away.
type Ask = fn(OwnedQuestion, Option<&str>) -> OwnedQuestion;

const MATCHED: (bool, bool) = (true, true);
const UNMATCHED: (bool, bool) = (false, false);
/// Whoever shows no identity is not among those whom an ALLOW does not name, and is among them in a DENY.
const DOUBTED: (bool, bool) = (false, true);

fn principal(mut question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    question.caller.principal = value.map_or(Principal::Anonymous, crate::path::caller::workload);
    question
}

fn namespace(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    let id = value.map(|namespace| format!("spiffe://weft.local/ns/{namespace}/sa/x"));
    principal(question, id.as_deref())
}

fn origin(mut question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    question.caller.origin = value.map_or(Principal::Anonymous, crate::path::caller::workload);
    question
}

fn subject(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    match value {
        Some(subject) => with_token(question, token(subject, no_claims())),
        None => question,
    }
}

fn audience(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    let mut token = token("corp/ann", no_claims());
    token.audiences = value.map(|audience| vec!["else".into(), audience.into()]).unwrap_or_default();
    with_token(question, token)
}

fn presenter(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    let mut token = token("corp/ann", no_claims());
    token.presenter = value.map(Into::into);
    with_token(question, token)
}

fn claim(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    with_claims(question, value.map_or(no_claims(), |value| json!({ "org": { "role": value } })))
}

fn address(mut question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    question.caller.address = value.map(|address| address.parse().expect("an address"));
    question
}

fn header(mut question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    let head = question.head.as_mut().expect("a head");
    if let Some(value) = value {
        head.headers.insert("x-role", value.parse().expect("a value"));
    }
    question
}

fn head(
    mut question: OwnedQuestion,
    value: Option<&str>,
    set: fn(&mut crate::path::policy::OwnedHead, String),
) -> OwnedQuestion {
    match value {
        Some(value) => set(question.head.as_mut().expect("a head"), value.to_owned()),
        None => question.head = None,
    }
    question
}

fn host(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    head(question, value, |head, host| head.host = host)
}

fn method(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    head(question, value, |head, method| head.method = method)
}

fn path(question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    head(question, value, |head, path| head.path = path)
}

fn attribute(mut question: OwnedQuestion, name: &str, value: Option<&str>) -> OwnedQuestion {
    let event = question.event.as_mut().expect("an event");
    event.retain(|(key, _)| key != name);
    event.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    question
}

fn target(mut question: OwnedQuestion, value: Option<&str>) -> OwnedQuestion {
    use crate::path::call::Target;
    let named = |value: &str| name(&format!("default/{value}"));
    question.target = match (question.verb, value) {
        (Verb::Publish, Some(value)) => Target::Topic(named(value)),
        (_, Some(value)) => Target::Function(named(value)),
        (_, None) => Target::Namespace("default".parse().expect("a name")),
    };
    question
}

const IDS: [&str; 2] = [SHOP, OTHER];
const SUBJECTS: [&str; 2] = ["corp/ann", "corp/bob"];
const NAMESPACES: [&str; 2] = ["shop", "bank"];
const ROLES: [&str; 2] = ["clerk", "chief"];

fn rows() -> Vec<Row> {
    [sources(), operations(), conditions()].into_iter().flatten().collect()
}

fn sources() -> Vec<Row> {
    let row = |key, field, values, set: fn(&mut Source) -> &mut Match<StringMatch>, ask| {
        let rule = move |matches| {
            let mut source = Source::default();
            *set(&mut source) = matches;
            from(source)
        };
        Row { key, field, verb: Verb::Request, values, rule: Box::new(rule), ask }
    };
    vec![
        row("principals", RuleField::Principals, IDS, |s| &mut s.principals, principal),
        row("namespaces", RuleField::Namespaces, NAMESPACES, |s| &mut s.namespaces, namespace),
        row("origins", RuleField::Origins, IDS, |s| &mut s.origins, origin),
        row("subjects", RuleField::RequestPrincipals, SUBJECTS, |s| &mut s.request_principals, subject),
    ]
}

fn operations() -> Vec<Row> {
    use Verb::{Publish, Request};
    let row = |key, field, verb, values, set: fn(&mut Operation, Match<StringMatch>), ask| {
        let rule = move |matches| {
            let mut operation = Operation::default();
            set(&mut operation, matches);
            to(operation)
        };
        Row { key, field, verb, values, rule: Box::new(rule), ask }
    };
    let (paths, sources) = (["/a/b", "/c/d"], ["/shop/till", "/bank/desk"]);
    vec![
        row("hosts", RuleField::Hosts, Request, ["a.local", "b.example"], |o, m| o.hosts = m, host),
        row("methods", RuleField::Methods, Request, ["GET", "POST"], |o, m| o.methods = m, method),
        row("paths", RuleField::Paths, Request, paths, |o, m| o.paths = read_as(&m), path),
        row("functions", RuleField::Functions, Request, ["bill", "mail"], |o, m| o.functions = m, target),
        row("topics", RuleField::Topics, Publish, ["orders", "letters"], |o, m| o.topics = m, target),
        row(
            "types",
            RuleField::Types,
            Publish,
            ["a.made", "b.sent"],
            |o, m| o.types = m,
            |q, v| attribute(q, "type", v),
        ),
        row("sources", RuleField::Sources, Publish, sources, |o, m| o.sources = m, |q, v| attribute(q, "source", v)),
    ]
}

fn conditions() -> Vec<Row> {
    use Verb::{Publish, Request};
    let row = |key, field, verb, values, condition: ConditionKey, ask| {
        let rule = move |matches| when(condition.clone(), matches);
        Row { key, field, verb, values, rule: Box::new(rule), ask }
    };
    let claim_key = ConditionKey::AuthClaim(vec!["org".into(), "role".into()]);
    let attribute_key = ConditionKey::EventAttribute("priority".into());
    let priority: Ask = |q, v| attribute(q, "priority", v);
    vec![
        row("header", RuleField::Headers, Request, ROLES, ConditionKey::Header("x-role".into()), header),
        row("principal", RuleField::Principals, Request, IDS, ConditionKey::SourcePrincipal, principal),
        row("namespace", RuleField::Namespaces, Request, NAMESPACES, ConditionKey::SourceNamespace, namespace),
        row("origin", RuleField::Origins, Request, IDS, ConditionKey::OriginPrincipal, origin),
        row("auth.subject", RuleField::Auth, Request, SUBJECTS, ConditionKey::AuthPrincipal, subject),
        row("auth.audiences", RuleField::Auth, Request, ["weft", "mail"], ConditionKey::AuthAudiences, audience),
        row("auth.presenter", RuleField::Auth, Request, ["app", "web"], ConditionKey::AuthPresenter, presenter),
        row("auth.claims", RuleField::Auth, Request, ROLES, claim_key, claim),
        row("attributes", RuleField::EventAttributes, Publish, ["high", "less"], attribute_key, priority),
    ]
}

/// Whether the value is missing because nobody has shown an identity.
fn is_identity(row: &Row) -> bool {
    let of_a_token = ["auth.audiences", "auth.presenter", "auth.claims"].contains(&row.key);
    let identities = [
        RuleField::Principals,
        RuleField::Namespaces,
        RuleField::Origins,
        RuleField::RequestPrincipals,
        RuleField::Auth,
    ];
    identities.contains(&row.field) && !of_a_token
}

#[test]
fn every_field_against_what_it_means_something_else_and_nothing() {
    for row in rows() {
        let Row { key, values: [value, other], ref rule, ask, .. } = row;
        let ask = |value| ask(question(row.verb), value);
        let (prefix, suffix) = (format!("{}*", &value[..value.len() - 1]), format!("*{}", &value[1..]));
        for pattern in [value, &prefix, &suffix] {
            let check = |matches, asked, expect| {
                assert_eq!(verdicts(&rule(matches), &ask(asked)), expect, "{key} {pattern} {asked:?}");
            };
            check(any_of(&[pattern]), Some(value), MATCHED);
            check(any_of(&[pattern]), Some(other), UNMATCHED);
            check(any_of(&[pattern]), None, UNMATCHED);
            check(any_of(&["/zzz", pattern]), Some(value), MATCHED);
            check(none_of(&[pattern]), Some(value), UNMATCHED);
            check(none_of(&[pattern]), Some(other), MATCHED);
            check(none_of(&[pattern]), None, if is_identity(&row) { DOUBTED } else { MATCHED });
        }
        assert_eq!(verdicts(&rule(any_of(&["*"])), &ask(Some(other))), MATCHED, "{key} *");
        assert_eq!(verdicts(&rule(any_of(&["*"])), &ask(None)), UNMATCHED, "{key} *");
        let both = Match { any: any_of(&["*"]).any, none: none_of(&[other]).none };
        assert_eq!(verdicts(&rule(both.clone()), &ask(Some(value))), MATCHED, "{key} * but not {other}");
        assert_eq!(verdicts(&rule(both), &ask(Some(other))), UNMATCHED, "{key} * but not {other}");
    }
}

#[test]
fn addresses() {
    let blocks = |any: &[&str], none: &[&str]| {
        let read = |list: &[&str]| list.iter().map(|block| block.parse().expect("a block")).collect();
        from(Source { ip_blocks: Match { any: read(any), none: read(none) }, ..Source::default() })
    };
    let check = |rule: Rule, asked: Option<&str>, expect| {
        assert_eq!(verdicts(&rule, &address(question(Verb::Request), asked)), expect, "{rule:?} {asked:?}");
    };
    check(blocks(&["10.0.0.0/8", "fd00::/8"], &[]), Some("10.1.2.3"), MATCHED);
    check(blocks(&["10.0.0.0/8"], &[]), Some("::ffff:10.1.2.3"), MATCHED);
    check(blocks(&["10.0.0.0/8"], &[]), Some("11.1.2.3"), UNMATCHED);
    check(blocks(&["10.0.0.0/8"], &[]), None, UNMATCHED);
    check(blocks(&["10.0.0.0/8"], &["10.1.0.0/16"]), Some("10.1.2.3"), UNMATCHED);
    check(blocks(&[], &["10.0.0.0/8"]), Some("11.1.2.3"), MATCHED);
    // What began inside the mesh came by no connection.
    check(blocks(&[], &["10.0.0.0/8"]), None, MATCHED);
}

#[test]
fn a_rule_with_a_field_that_its_verb_lacks_does_not_apply() {
    for row in rows() {
        for verb in Verb::ALL {
            // No call here has this value: where the rule applies it does not match, and its `not…` form does.
            let unmatched = (row.rule)(any_of(&["/zzz"]));
            let matched = (row.rule)(none_of(&["/zzz"]));
            let question = question(verb);
            let with = |policy| ruling(&index(Default::Allow, vec![policy]), &question);
            // A rule without verbs is about traffic.
            let (key, has) = (row.key, verb.has(row.field) && Verb::TRAFFIC.contains(&verb));
            let expect = if has { "refused: no ALLOW policy matches" } else { "allowed: default" };
            assert_eq!(with(allow("default/a", unmatched)), expect, "{key} {verb:?}");
            let expect = if has { "refused: policy default/d rule 0" } else { "allowed: default" };
            assert_eq!(with(deny("default/d", matched)), expect, "{key} {verb:?}");
        }
    }
}

#[test]
fn each_entry_of_from_and_to_is_for_the_verbs_that_have_its_fields() {
    let mut rule = from_principals(&[SHOP]);
    rule.from.push(Source { ip_blocks: read_as(&any_of(&["10.0.0.1"])), ..Source::default() });
    rule.to = vec![
        Operation { verbs: vec![Verb::Request], methods: any_of(&["GET"]), ..Operation::default() },
        Operation { verbs: vec![Verb::Publish], types: any_of(&["order.*"]), ..Operation::default() },
    ];
    let check = |question: OwnedQuestion, expect| assert_eq!(verdicts(&rule, &question), expect, "{question:?}");
    check(question(Verb::Request), MATCHED);
    check(question(Verb::Publish), MATCHED);
    check(question(Verb::Deliver), UNMATCHED);
    check(by(OTHER, question(Verb::Request)), UNMATCHED);
    check(address(by(OTHER, question(Verb::Request)), Some("10.0.0.1")), MATCHED);
    check(method(question(Verb::Request), Some("POST")), UNMATCHED);
    check(attribute(question(Verb::Publish), "type", Some("letter.sent")), UNMATCHED);
}

#[test]
fn hosts_have_no_case_and_paths_may_be_templates() {
    let hosts = |pattern: &str| to(Operation { hosts: any_of(&[pattern]), ..Operation::default() });
    for pattern in ["API.Example", "api.*", "*.EXAMPLE"] {
        for asked in ["api.example", "Api.eXample"] {
            let question = host(question(Verb::Egress), Some(asked));
            assert_eq!(verdicts(&hosts(pattern), &question), MATCHED, "{pattern} {asked}");
        }
    }
    let paths = |pattern: &str| {
        to(Operation {
            paths: Match { any: vec![pattern.parse().expect("a path")], none: Vec::new() },
            ..Operation::default()
        })
    };
    for (pattern, asked, expect) in [
        ("/a/{*}/c", "/a/b/c", MATCHED),
        ("/a/{*}/c", "/a/b/d", UNMATCHED),
        ("/a/{**}", "/a", MATCHED),
        ("/a/{**}", "/a/b/c", MATCHED),
        ("/a/{**}", "/ab", UNMATCHED),
        ("/{**}", "/", MATCHED),
        ("/{*}", "/x", MATCHED),
    ] {
        let question = path(question(Verb::Request), Some(asked));
        assert_eq!(verdicts(&paths(pattern), &question), expect, "{pattern} {asked}");
    }
}

#[test]
fn who_shows_nothing_matches_no_identity() {
    let anybody = [
        from(Source { principals: any_of(&["*"]), ..Source::default() }),
        from(Source { namespaces: any_of(&["*"]), ..Source::default() }),
    ];
    for rule in anybody {
        assert_eq!(verdicts(&rule, &nobody(question(Verb::Request))), UNMATCHED);
        // A token is not a workload, whatever it says.
        let sly = by_token(question(Verb::Request), token(SHOP, no_claims()));
        assert_eq!(verdicts(&rule, &sly), UNMATCHED);
        assert_eq!(verdicts(&from_principals(&[SHOP]), &sly), UNMATCHED);
        assert_eq!(verdicts(&rule, &question(Verb::Request)), MATCHED);
    }
    let origin = from(Source { origins: any_of(&["corp/*"]), ..Source::default() });
    assert_eq!(verdicts(&origin, &by_token(question(Verb::Request), token("corp/ann", no_claims()))), MATCHED);
    assert_eq!(
        verdicts(&Rule::default(), &OwnedQuestion { caller: Caller::nobody(), ..question(Verb::Request) }),
        MATCHED
    );
}

#[test]
fn a_token_counts_where_its_issuer_does() {
    let rules = [
        from(Source { request_principals: any_of(&["corp/ann"]), ..Source::default() }),
        from(Source { origins: any_of(&["corp/ann"]), ..Source::default() }),
        when(ConditionKey::AuthPrincipal, any_of(&["corp/*"])),
        when(ConditionKey::AuthClaim(vec!["role".into()]), any_of(&["clerk"])),
    ];
    for (scope, expect) in [(None, MATCHED), (Some("default"), MATCHED), (Some("shop"), UNMATCHED)] {
        for rule in &rules {
            let mut token = token("corp/ann", json!({ "role": "clerk" }));
            token.subject.scope = scope.map(|scope| scope.parse().expect("a name"));
            assert_eq!(verdicts(rule, &by_token(question(Verb::Request), token)), expect, "{scope:?} {rule:?}");
        }
    }
}
