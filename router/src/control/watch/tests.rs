//! A watched folder: which changes are applied, and what is told of each.

use tokio::sync::mpsc;

use super::super::fixture::{Plane, topic, trigger};
use super::*;

/// Long enough for a loaded machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(20);

struct Watched {
    plane: Plane,
    reports: mpsc::Receiver<Result<Applied, LoadError>>,
    shutdown: CancellationToken,
}

impl Watched {
    async fn new(files: &[(&str, String)]) -> Self {
        let plane = Plane::new().await;
        for (name, text) in files {
            write(&plane, name, text);
        }
        let (sender, reports) = mpsc::channel(64);
        let shutdown = CancellationToken::new();
        let watch = Watch::begin(plane.dir.path()).expect("watches");
        load(plane.dir.path(), &plane.deployments).await.expect("loads");
        let report = move |result| sender.try_send(result).expect("room");
        tokio::spawn(watch.run(plane.deployments.clone(), report, shutdown.clone()));
        Self { plane, reports, shutdown }
    }

    /// Waits for a report that `is` one.
    async fn until(&mut self, is: impl Fn(&Result<Applied, LoadError>) -> bool) -> Result<Applied, LoadError> {
        let next = async {
            loop {
                let report = self.reports.recv().await.expect("the watch goes on");
                if is(&report) {
                    return report;
                }
            }
        };
        timeout(DEADLINE, next).await.expect("a report in time")
    }
}

fn write(plane: &Plane, name: &str, text: &str) {
    let path = plane.dir.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    std::fs::write(path, text).expect("written");
}

fn changed(report: &Result<Applied, LoadError>) -> bool {
    report.as_ref().is_ok_and(|applied| summary(applied).is_some())
}

#[tokio::test]
async fn changes_are_applied_and_mistakes_are_not() {
    let mut watched = Watched::new(&[("app.yaml", topic("orders"))]).await;
    write(&watched.plane, "app.yaml", &(topic("orders") + &trigger("bill", "orders")));
    let applied = watched.until(changed).await.expect("applied");
    assert_eq!(summary(&applied).as_deref(), Some("reloaded: 0 changed, 1 added, 0 removed (snapshot 2)"));

    write(&watched.plane, "app.yaml", "kind: [");
    let error = watched.until(Result::is_err).await.expect_err("a mistake");
    assert!(error.render(false).starts_with("app.yaml:1:"), "{}", error.render(false));
    assert_eq!(watched.plane.in_force(), ["topic default/orders", "trigger default/bill"]);

    write(&watched.plane, "app.yaml", &topic("orders"));
    let applied = watched.until(changed).await.expect("applied");
    assert_eq!(summary(&applied).as_deref(), Some("reloaded: 0 changed, 0 added, 1 removed (snapshot 3)"));
    watched.shutdown.cancel();
}

#[tokio::test]
async fn folders_come_and_go() {
    let mut watched = Watched::new(&[("deep/er/app.yaml", topic("orders"))]).await;
    write(&watched.plane, "deep/er/app.yaml", &(topic("orders") + &topic("invoices")));
    watched.until(changed).await.expect("applied");
    write(&watched.plane, "new/app.yaml", &topic("returns"));
    watched.until(changed).await.expect("applied");
    write(&watched.plane, "new/app.yaml", &(topic("returns") + &topic("refunds")));
    watched.until(changed).await.expect("applied");
    std::fs::remove_dir_all(watched.plane.dir.path().join("deep")).expect("removed");
    let in_force = loop {
        watched.until(changed).await.expect("applied");
        let in_force = watched.plane.in_force();
        if in_force.len() == 2 {
            break in_force;
        }
    };
    assert_eq!(in_force, ["topic default/refunds", "topic default/returns"]);
}

#[test]
fn only_writes_count() {
    use notify::event::{CreateKind, ModifyKind, RemoveKind};
    let check = |kind: EventKind, expect: bool| assert_eq!(is_change(&Event::new(kind)), expect, "{kind:?}");
    check(EventKind::Access(AccessKind::Open(AccessMode::Any)), false);
    check(EventKind::Access(AccessKind::Close(AccessMode::Read)), false);
    check(EventKind::Access(AccessKind::Close(AccessMode::Write)), true);
    check(EventKind::Create(CreateKind::File), true);
    check(EventKind::Modify(ModifyKind::Any), true);
    check(EventKind::Remove(RemoveKind::File), true);
}

#[test]
fn a_reload_that_changed_nothing_is_not_mentioned() {
    assert_eq!(summary(&Applied { snapshot: 3, dry_run: false, changes: Vec::new() }), None);
}
