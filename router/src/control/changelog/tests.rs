//! The change log over restarts: replay, checkpoints, newer formats, and the golden file of its format.

use std::path::PathBuf;

use bytes::Bytes;
use weft_eventlog::MemoryLog;
use weft_functions::manifest::{Resource, SourceFile, parse};

use super::super::desired::{Incoming, Scope, plan, plan_delete};
use super::super::modules::ModuleDigest;
use super::*;

const AT_MS: u64 = 1_795_431_600_000;

const MANIFESTS: &str = r#"apiVersion: weft.dev/v1alpha1
kind: Function
metadata: { name: billing }
spec: { module: ./billing.wasm, env: { CURRENCY: EUR }, allowHosts: [ "api.bank.example:443" ] }
---
apiVersion: weft.dev/v1alpha1
kind: Topic
metadata: { name: orders }
---
apiVersion: weft.dev/v1alpha1
kind: Trigger
metadata: { name: bill-orders, namespace: shop }
spec:
  topic: default/orders
  filters: [ { exact: { type: order.created } } ]
  function: default/billing
---
apiVersion: weft.dev/v1alpha1
kind: Policy
metadata: { name: shop-publishes }
spec:
  action: ALLOW
  targets: [ { topic: orders } ]
  rules:
    - from: [ { source: { principals: [ "spiffe://weft.local/ns/default/sa/shop" ] } } ]
      to:   [ { operation: { verbs: [ publish ] } } ]
    - when: [ { key: "request.auth.claims[role]", values: [ clerk ] } ]
---
apiVersion: weft.dev/v1alpha1
kind: Namespace
metadata: { name: shop }
spec: { default: deny, sourcePrefixes: [ /shop ] }
---
apiVersion: weft.dev/v1alpha1
kind: Issuer
metadata: { name: corp, namespace: weft-system }
spec: { issuer: "https://id.corp.example", audiences: [ weft ], jwksUri: "https://id.corp.example/jwks" }
"#;

fn incoming(file: &str, text: &str, module: &[u8]) -> Vec<Incoming> {
    let resources = parse(&[SourceFile::new(file, text)]).expect("valid manifests");
    let module = ModuleDigest::of(module);
    let of = |kind: Kind| (kind == Kind::Function).then_some(module);
    resources.into_iter().map(|resource| Incoming { module: of(resource.kind()), resource }).collect()
}

fn topic(name: &str) -> Vec<Incoming> {
    let text = format!("apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: {{ name: {name} }}\n");
    incoming("api", &text, b"")
}

fn id(kind: Kind, namespace: &str, name: &str) -> ResourceId {
    ResourceId { kind, namespace: namespace.parse().expect("a name"), name: name.parse().expect("a name") }
}

async fn apply(changelog: &mut Changelog, current: &Desired, incoming: Vec<Incoming>, scope: Scope) -> Desired {
    let plan = plan(current, incoming, scope).expect("a plan");
    changelog.append(current, &plan, AT_MS).await.expect("appended")
}

async fn delete(changelog: &mut Changelog, current: &Desired, id: &ResourceId) -> Desired {
    let plan = plan_delete(current, id).expect("a plan");
    changelog.append(current, &plan, AT_MS).await.expect("appended")
}

#[tokio::test]
async fn the_state_comes_back_as_it_was() {
    let log = MemoryLog::default();
    let (mut changelog, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.desired, Desired::default());
    let first = apply(&mut changelog, &replayed.desired, incoming("app.yaml", MANIFESTS, b"one"), Scope::Replace).await;
    let second = apply(&mut changelog, &first, incoming("app.yaml", MANIFESTS, b"two"), Scope::Replace).await;
    let third = apply(&mut changelog, &second, topic("invoices"), Scope::Merge).await;
    assert_eq!((first.number, second.number, third.number), (1, 2, 3));

    let (_, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.desired.number, 3);
    let facts = |desired: &Desired| -> Vec<_> {
        let fact = |(id, entry): (&ResourceId, &Arc<super::super::desired::Entry>)| {
            let lines = match &entry.resource {
                Resource::Policy(policy) => policy.rule_lines(),
                _ => Vec::new(),
            };
            let place = (entry.resource.location().clone(), lines);
            (id.clone(), entry.resource.to_json(), place, entry.owner, entry.module, entry.revision, entry.changed_in)
        };
        desired.entries.iter().map(fact).collect()
    };
    assert_eq!(facts(&replayed.desired), facts(&third));
    // Nothing has changed for the folder, so a restart makes no record.
    let again = plan(&replayed.desired, incoming("app.yaml", MANIFESTS, b"two"), Scope::Replace).expect("a plan");
    assert!(again.is_empty(), "{:?}", again.changes);
}

#[tokio::test]
async fn a_checkpoint_stands_for_all_before_it() {
    let log = MemoryLog::default();
    let (mut changelog, replayed) = Changelog::open(&log).await.expect("opens");
    let mut state = apply(&mut changelog, &replayed.desired, topic("kept"), Scope::Merge).await;
    let toggled = id(Kind::Topic, "default", "toggled");
    while changelog.records < COMPACT_AFTER {
        state = apply(&mut changelog, &state, topic("toggled"), Scope::Merge).await;
        state = delete(&mut changelog, &state, &toggled).await;
        changelog.compact_if_due(&state, AT_MS).await;
        if state.number > COMPACT_AFTER as u64 {
            break;
        }
    }
    let contents = log.journal(JOURNAL).await.expect("a journal").read_all().await.expect("reads");
    assert_eq!(contents.entries, []);
    let state = apply(&mut changelog, &state, topic("after"), Scope::Merge).await;
    let (_, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.desired.number, state.number);
    assert_eq!(replayed.desired.entries.keys().collect::<Vec<_>>(), state.entries.keys().collect::<Vec<_>>());
    assert_eq!(replayed.desired.entries[&id(Kind::Topic, "default", "kept")].changed_in, 1);
}

#[tokio::test]
async fn deleted_topics_are_named_until_they_are_back() {
    let log = MemoryLog::default();
    let (mut changelog, replayed) = Changelog::open(&log).await.expect("opens");
    let state = apply(&mut changelog, &replayed.desired, incoming("api", MANIFESTS, b"one"), Scope::Merge).await;
    let trigger = id(Kind::Trigger, "shop", "bill-orders");
    let policy = id(Kind::Policy, "default", "shop-publishes");
    let orders = id(Kind::Topic, "default", "orders");
    let mut state = state;
    for gone in [&trigger, &policy, &orders] {
        state = delete(&mut changelog, &state, gone).await;
    }
    let (mut changelog, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.gone, BTreeSet::from([orders]));
    let state = apply(&mut changelog, &state, topic("orders"), Scope::Replace).await;
    let (mut changelog, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.gone, BTreeSet::new());
    // What vanishes from the folder keeps its data.
    apply(&mut changelog, &state, Vec::new(), Scope::Replace).await;
    let (_, replayed) = Changelog::open(&log).await.expect("opens");
    assert_eq!(replayed.gone, BTreeSet::new());
}

#[tokio::test]
async fn a_newer_record_is_refused_and_an_older_reader_is_let_in() {
    let check = async |record: &str, expect: Result<usize, &str>| {
        let log = MemoryLog::default();
        let journal = log.journal(JOURNAL).await.expect("a journal");
        journal.append(Bytes::copy_from_slice(record.as_bytes())).await.expect("appended");
        match (Changelog::open(&log).await, expect) {
            (Ok((_, replayed)), Ok(entries)) => assert_eq!(replayed.desired.entries.len(), entries, "{record}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (Ok(_), Err(_)) => panic!("{record} was read"),
            (Err(error), Ok(_)) => panic!("{record}: {error}"),
        }
        assert_eq!(journal.read_all().await.expect("reads").entries.len(), 1, "nothing was written");
    };
    let newer = r#"{"format":7,"oldestReader":7,"everything":"else"}"#;
    check(newer, Err("record 1 of the change log cannot be read: it needs a reader of format 7")).await;
    let compatible = r#"{"format":2,"oldestReader":1,"at":"","by":"somebody","put":[],"delete":[]}"#;
    check(compatible, Ok(0)).await;
    check("{}", Err("it is not a record")).await;
    check("", Err("it is not a record")).await;
    let unknown = r#"{"format":1,"oldestReader":1,"at":"","put":[{"owner":"api","file":"a","line":1,"column":1,
        "resource":{"apiVersion":"weft.dev/v1alpha1","kind":"Loom","metadata":{"name":"x"}}}],"delete":[]}"#;
    check(unknown, Err("Loom ?/x is not valid in this version")).await;
}

/// `tests/golden/changelog-v1.json`: an apply, a delete and a checkpoint, one line each.
#[tokio::test]
async fn the_golden_file_is_what_we_write_and_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changelog-v1.json");
    let created = plan(&Desired::default(), incoming("app.yaml", MANIFESTS, b"one"), Scope::Replace).expect("a plan");
    let state = Desired::default().after(&created, 1);
    let emptied =
        plan(&state, incoming("app.yaml", MANIFESTS.split("---").next().unwrap_or_default(), b"one"), Scope::Replace);
    let emptied = emptied.expect("a plan");
    let lines = [Record::of_plan(&created, AT_MS), Record::of_plan(&emptied, AT_MS), Record::of_state(&state, AT_MS)];
    let written: Vec<u8> = lines.iter().flat_map(|record| [record.encode(), b"\n".to_vec()].concat()).collect();
    if std::env::var_os("WEFT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &written).expect("the golden file");
    }
    let golden = std::fs::read(&path).expect("the golden file");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&golden));

    let mut replayed = Replayed::default();
    let lines: Vec<&[u8]> = golden.split(|byte| *byte == b'\n').collect();
    replayed.replay(Sequence::new(1), lines[0]).expect("reads");
    assert_eq!(replayed.desired.entries.len(), 6);
    replayed.replay(Sequence::new(2), lines[1]).expect("reads");
    assert_eq!(replayed.desired.entries.len(), 1);
    let mut restored = Replayed::default();
    restored.replay(Sequence::new(1), lines[2]).expect("reads");
    assert_eq!(restored.desired.entries.len(), 6);
    assert!(restored.desired.entries.values().all(|entry| entry.changed_in == 1));
}

/// Where each rule stands comes back; a record that does not say so means where the document begins.
#[test]
fn rules_keep_their_lines() {
    let created = plan(&Desired::default(), incoming("app.yaml", MANIFESTS, b"one"), Scope::Replace).expect("a plan");
    let record = String::from_utf8(Record::of_plan(&created, AT_MS).encode()).expect("text");
    let check = |record: &str, expect: &[&str]| {
        let mut replayed = Replayed::default();
        replayed.replay(Sequence::FIRST, record.as_bytes()).expect("reads");
        let entry = &replayed.desired.entries[&id(Kind::Policy, "default", "shop-publishes")];
        let Resource::Policy(policy) = &entry.resource else { panic!("{entry:?}") };
        let places: Vec<String> = policy.rule_locations.iter().map(ToString::to_string).collect();
        assert_eq!(places, expect);
    };
    check(&record, &["app.yaml:25", "app.yaml:27"]);
    let lines = r#""ruleLines":[25,27],"#;
    assert!(record.contains(lines), "{record}");
    check(&record.replace(lines, ""), &["app.yaml:18", "app.yaml:18"]);
    check(&record.replace(lines, r#""ruleLines":[25],"#), &["app.yaml:18", "app.yaml:18"]);
}

#[tokio::test]
async fn an_empty_change_log_beside_positions_is_a_lost_one() {
    let log = MemoryLog::default();
    Changelog::open(&log).await.expect("a new node has neither");
    log.topic("default/orders", weft_eventlog::TopicConfig::default()).await.expect("a topic");
    let consumer = log.consumer("default/bill", "default/orders", weft_eventlog::Start::End).await.expect("a position");
    let error = Changelog::open(&log).await.err().expect("refused");
    assert!(error.to_string().starts_with("the change log is gone, but 1 positions"), "{error}");
    drop(consumer);
}
