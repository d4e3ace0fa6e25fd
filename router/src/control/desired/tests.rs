//! Plans as tables: what is created, changed, deleted, owned by somebody else or still in use.

use super::*;
use weft_functions::manifest::{SourceFile, parse};

const FUNCTION: &str = "kind: Function\nmetadata: { name: billing }\nspec: { module: ./billing.wasm }\n";
const TOPIC: &str = "kind: Topic\nmetadata: { name: orders }\n";
const TRIGGER: &str = "kind: Trigger\nmetadata: { name: bill }\nspec: { topic: orders, function: billing }\n";
const POLICY: &str =
    "kind: Policy\nmetadata: { name: shop }\nspec: { action: ALLOW, targets: [ { topic: orders } ] }\n";
const MESH: &str =
    "kind: Policy\nmetadata: { name: all, namespace: weft-system }\nspec: { targets: [ { topic: orders } ] }\n";
const ELSEWHERE: &str = "kind: Topic\nmetadata: { name: orders, namespace: shop }\n";

/// Documents of one file, with the digest of the text "one" as every function's module.
fn incoming(file: &str, documents: &[&str], module: &str) -> Vec<Incoming> {
    let documents: Vec<String> =
        documents.iter().map(|document| format!("apiVersion: weft.dev/v1alpha1\n{document}")).collect();
    let text = format!("{}# none or some\n", documents.join("---\n"));
    let resources = parse(&[SourceFile::new(file, text)]).expect("valid manifests");
    let module = ModuleDigest::of(module.as_bytes());
    let with_module = |resource: Resource| {
        let module = (resource.kind() == Kind::Function).then_some(module);
        Incoming { resource, module }
    };
    resources.into_iter().map(with_module).collect()
}

fn applied(current: &Desired, incoming: Vec<Incoming>, scope: Scope) -> Desired {
    let plan = plan(current, incoming, scope).expect("a plan");
    current.after(&plan, current.number + 1)
}

fn id(kind: Kind, name: &str) -> ResourceId {
    ResourceId { kind, namespace: "default".parse().expect("a name"), name: name.parse().expect("a name") }
}

/// The plan in words: `created Topic default/orders`.
fn words(plan: &Plan) -> Vec<String> {
    let word = |change: &Change| {
        let revision = change.revision.as_ref().map_or(String::new(), |revision| format!(" {revision}"));
        format!("{} {}{revision}", change.what.as_str(), change.id)
    };
    plan.changes.iter().map(word).collect()
}

#[test]
fn what_an_apply_changes() {
    let first = applied(&Desired::default(), incoming("app.yaml", &[FUNCTION, TOPIC, TRIGGER], "one"), Scope::Replace);
    let check = |documents: &[&str], module: &str, scope: Scope, expect: &[&str]| {
        let plan = plan(&first, incoming("app.yaml", documents, module), scope).expect("a plan");
        assert_eq!(words(&plan), expect);
    };
    let same = ["unchanged Function default/billing billing-00001", "unchanged Topic default/orders"];
    check(&[FUNCTION, TOPIC, TRIGGER], "one", Scope::Replace, &[same[0], same[1], "unchanged Trigger default/bill"]);
    check(&[TOPIC, FUNCTION], "one", Scope::Replace, &[same[0], same[1], "deleted Trigger default/bill"]);
    check(
        &[],
        "one",
        Scope::Replace,
        &["deleted Function default/billing", "deleted Topic default/orders", "deleted Trigger default/bill"],
    );
    let other_module = ["changed Function default/billing billing-00002", same[1]];
    check(&[FUNCTION, TOPIC], "two", Scope::Replace, &[other_module[0], same[1], "deleted Trigger default/bill"]);
    let scaled = FUNCTION.replace("./billing.wasm", "./billing.wasm, scale: { max: 5 }");
    check(&[&scaled, TOPIC], "one", Scope::Replace, &[other_module[0], same[1], "deleted Trigger default/bill"]);
    check(&["kind: Topic\nmetadata: { name: invoices }\n"], "one", Scope::Merge, &["created Topic default/invoices"]);
}

#[test]
fn lines_that_moved_are_not_a_change_but_are_remembered() {
    let first = applied(&Desired::default(), incoming("app.yaml", &[TOPIC], ""), Scope::Replace);
    let plan = plan(&first, incoming("other.yaml", &[TOPIC], ""), Scope::Replace).expect("a plan");
    assert!(plan.is_empty());
    let after = first.after(&plan, 9);
    let entry = &after.entries[&id(Kind::Topic, "orders")];
    assert_eq!((entry.resource.location().to_string().as_str(), entry.changed_in), ("other.yaml:1", 1));
}

#[test]
fn revisions_count_changes_and_snapshots_are_remembered() {
    let mut desired = Desired::default();
    for (module, revision) in [("one", "billing-00001"), ("two", "billing-00002"), ("two", "billing-00002")] {
        desired = applied(&desired, incoming("app.yaml", &[FUNCTION], module), Scope::Merge);
        assert_eq!(desired.entries[&id(Kind::Function, "billing")].revision_name().as_deref(), Some(revision));
    }
    assert_eq!((desired.number, desired.entries[&id(Kind::Function, "billing")].changed_in), (3, 2));
    assert_eq!(desired.modules(), BTreeSet::from([ModuleDigest::of(b"two")]));
}

#[test]
fn the_folder_owns_what_it_says_and_the_api_the_rest() {
    let files = applied(&Desired::default(), incoming("app.yaml", &[TOPIC], ""), Scope::Replace);
    let owned = |error: PlanError| match error {
        PlanError::Owned(owned) => owned.iter().map(|owned| format!("{} {}", owned.id, owned.by)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let merged = plan(&files, incoming("x.yaml", &[TOPIC, FUNCTION], ""), Scope::Merge).expect_err("owned");
    assert_eq!(owned(merged), ["Topic default/orders app.yaml:1"]);
    let deleted = plan_delete(&files, &id(Kind::Topic, "orders")).expect_err("owned");
    assert_eq!(owned(deleted), ["Topic default/orders app.yaml:1"]);

    let api = applied(&Desired::default(), incoming("x.yaml", &[TOPIC], ""), Scope::Merge);
    let error = plan(&api, incoming("app.yaml", &[FUNCTION, TOPIC], ""), Scope::Replace).expect_err("owned");
    let PlanError::Mistakes(problems) = error else { panic!("{error:?}") };
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].location.to_string(), "app.yaml:6");
    assert!(problems[0].message.contains("run `weft delete topic orders -n default` first"), "{}", problems[0].message);

    let both = applied(&api, incoming("app.yaml", &[FUNCTION], ""), Scope::Replace);
    let emptied = plan(&both, Vec::new(), Scope::Replace).expect("a plan");
    assert_eq!(words(&emptied), ["deleted Function default/billing"], "what the api owns stays");
}

#[test]
fn references_are_checked_over_everything() {
    let api = applied(&Desired::default(), incoming("x.yaml", &[TOPIC, FUNCTION], ""), Scope::Merge);
    assert!(plan(&api, incoming("app.yaml", &[TRIGGER], ""), Scope::Replace).is_ok());
    let error = plan(&Desired::default(), incoming("app.yaml", &[TRIGGER], ""), Scope::Replace).expect_err("dangling");
    let PlanError::Mistakes(problems) = error else { panic!("{error:?}") };
    assert_eq!(problems.len(), 2, "topic and function: {problems:?}");
}

#[test]
fn what_others_name_is_not_deleted() {
    let all = [FUNCTION, TOPIC, TRIGGER, POLICY];
    let api = applied(&Desired::default(), incoming("x.yaml", &all, ""), Scope::Merge);
    let check = |kind: Kind, name: &str, expect: &[&str]| {
        let users = match plan_delete(&api, &id(kind, name)) {
            Err(PlanError::InUse(in_use)) => in_use[0].by.iter().map(ResourceId::to_string).collect(),
            Ok(_) => Vec::new(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(users, expect, "{name}");
    };
    check(Kind::Topic, "orders", &["Trigger default/bill", "Policy default/shop"]);
    check(Kind::Function, "billing", &["Trigger default/bill"]);
    check(Kind::Trigger, "bill", &[]);
    check(Kind::Policy, "shop", &[]);
    let missing = plan_delete(&api, &id(Kind::Topic, "other")).expect_err("missing");
    assert_eq!(missing, PlanError::NotFound(id(Kind::Topic, "other")));
}

#[test]
fn a_policy_of_the_mesh_is_content_with_the_name_in_any_namespace() {
    let one = applied(&Desired::default(), incoming("x.yaml", &[TOPIC, MESH], ""), Scope::Merge);
    assert!(matches!(plan_delete(&one, &id(Kind::Topic, "orders")), Err(PlanError::InUse(_))));
    let two = applied(&one, incoming("x.yaml", &[ELSEWHERE], ""), Scope::Merge);
    assert!(plan_delete(&two, &id(Kind::Topic, "orders")).is_ok());
}

#[test]
fn a_folder_cannot_take_away_what_the_api_relies_on() {
    let files = applied(&Desired::default(), incoming("app.yaml", &[FUNCTION, TOPIC], ""), Scope::Replace);
    let both = applied(&files, incoming("x.yaml", &[TRIGGER], ""), Scope::Merge);
    let error = plan(&both, incoming("app.yaml", &[FUNCTION], ""), Scope::Replace).expect_err("in use");
    let PlanError::InUse(in_use) = error else { panic!("{error:?}") };
    assert_eq!(in_use, [InUse { id: id(Kind::Topic, "orders"), by: vec![id(Kind::Trigger, "bill")] }]);
}
