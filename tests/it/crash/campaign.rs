//! The course of a campaign: publish and kill, start on the same data, and again; at last let everything pending come.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use weft_tests::node::Options;
use weft_tests::{Node, Project, eventually_within, manifest};

use super::chance::Chance;
use super::event::EVEN;
use super::sink::Sink;
use super::verdict::{self, Account, Accounts, History, Report};
use super::writer::Writer;

/// Writers, each with a connection: enough that a commit holds several appends.
const WRITERS: u64 = 12;
/// A node is killed after at most so many 202, so that a fast machine does not publish for ever.
const ACCEPTED_MAX: u64 = 2_000;
/// … and then this much later at most, in microseconds: at any point of a commit (about 1 ms) and between two.
const LATER_MICROS: u64 = 3_000;
/// A node that is killed while it starts lives at most so many milliseconds: about what a start takes.
const START_MILLIS: u64 = 500;
/// Of so many starts one is killed before it is ready.
const START_KILLED: u64 = 4;
/// How long the writers of one cycle may take, and the last deliveries.
const PATIENCE: Duration = Duration::from_secs(120);
/// `inFlight` of each trigger: the default.
pub(super) const IN_FLIGHT: usize = 16;

/// A node's data, the writers that publish to it, and what came.
pub(super) struct Campaign {
    binary: PathBuf,
    env: Vec<(String, String)>,
    project: Project,
    sink: Sink,
    chance: Chance,
    writers: Vec<Writer>,
    /// Starts of the node so far.
    run: usize,
    history: History,
}

impl Campaign {
    pub(super) async fn begin(binary: PathBuf, env: &[(&str, &str)]) -> Self {
        let sink = Sink::start().await;
        let chance = Chance::new();
        println!("seed {} (repeat the plan with WEFT_CRASH_SEED)", chance.seed);
        Self {
            binary,
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            project: Project::new(&manifests(sink.addr)),
            sink,
            chance,
            writers: (1..=WRITERS).map(Writer::new).collect(),
            run: 0,
            history: History::default(),
        }
    }

    /// Starts the node, publishes, and kills it.
    pub(super) async fn cycle(&mut self) {
        if self.chance.below(START_KILLED) == 0 {
            self.kill_while_starting().await;
        }
        let node = self.start().await;
        let accepted = Arc::new(Semaphore::new(0));
        let mut publishing = JoinSet::new();
        for mut writer in self.writers.drain(..) {
            let (http, accepted) = (node.http, accepted.clone());
            publishing.spawn(async move {
                let sent = writer.run(http, accepted).await;
                (writer, sent)
            });
        }
        let enough = u32::try_from(1 + self.chance.below(ACCEPTED_MAX)).expect("a small number");
        let waited = tokio::time::timeout(PATIENCE, accepted.acquire_many(enough)).await;
        waited.expect("202s in time").expect("an open semaphore").forget();
        // Not a wait for anything: the moment of the kill is what the test varies.
        tokio::time::sleep(Duration::from_micros(self.chance.below(LATER_MICROS))).await;
        node.kill();
        let ended = tokio::time::timeout(PATIENCE, publishing.join_all()).await.expect("the writers' end");
        for (writer, sent) in ended {
            self.writers.push(writer);
            self.history.sent.extend(sent.into_iter().map(|sent| (self.run, sent)));
        }
        self.sink.quiet().await;
    }

    /// Starts the node once more, waits until nothing is pending, and compares.
    pub(super) async fn settle(&mut self) -> Report {
        let node = self.start().await;
        let accounts = eventually_within(PATIENCE, "nothing is pending", async || {
            let accounts = Accounts {
                topic: topic_count(&node).await,
                all: account(&node, "all").await,
                even: account(&node, "even").await,
                function: account(&node, "function").await,
            };
            accounts.triggers().iter().all(|(_, account)| account.pending == 0).then_some(accounts)
        });
        let accounts = accounts.await;
        node.kill();
        self.sink.quiet().await;
        verdict::judge(&self.history, &self.sink.received(), &accounts)
    }

    async fn start(&mut self) -> Node {
        self.run += 1;
        self.sink.begin(self.run);
        let options = Options { binary: Some(self.binary.clone()), env: self.env.clone(), ..Options::default() };
        self.project.start_with(options).await.unwrap_or_else(|failed| panic!("after a kill: {failed}"))
    }

    /// Kills a node that recovers, and may already deliver.
    async fn kill_while_starting(&mut self) {
        self.run += 1;
        self.sink.begin(self.run);
        let mut command = Command::new(&self.binary);
        command.arg("dev").arg(self.project.folder()).arg("--data").arg(self.project.data());
        command.args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut node = command.spawn().expect("a node");
        tokio::time::sleep(Duration::from_millis(self.chance.below(START_MILLIS))).await;
        node.kill().expect("a kill");
        node.wait().expect("a node's end");
        self.sink.quiet().await;
    }
}

/// Two triggers with an address, of which one selects, and one with a function. Failed deliveries come again soon.
fn manifests(sink: SocketAddr) -> String {
    let delivery = format!("delivery: {{ inFlight: {IN_FLIGHT}, backoffMax: PT1S }}");
    [
        manifest::topic("events", ""),
        manifest::function("hello", "hello", ""),
        manifest::trigger("all", "events", &format!("url: \"http://{sink}/all\", {delivery}")),
        manifest::trigger(
            "even",
            "events",
            &format!("filters: [ {{ exact: {{ type: {EVEN} }} }} ], url: \"http://{sink}/even\", {delivery}"),
        ),
        manifest::trigger("function", "events", &format!("function: hello, {delivery}")),
    ]
    .concat()
}

/// How many events the topic ever took.
async fn topic_count(node: &Node) -> u64 {
    let topic = node.resource("topic", "events").await;
    let next = topic["status"]["next"].as_str().and_then(|text| text.parse::<u64>().ok());
    next.unwrap_or_else(|| panic!("no status.next in {topic}")) - 1
}

async fn account(node: &Node, trigger: &str) -> Account {
    let resource = node.resource("trigger", trigger).await;
    let count = |name: &str| {
        let count = resource["status"][name].as_u64();
        count.unwrap_or_else(|| panic!("no status.{name} in {resource}"))
    };
    Account {
        accepted: count("accepted"),
        delivered: count("delivered"),
        filtered: count("filtered"),
        failed: count("denied") + count("expired") + count("dead") + count("cancelled"),
        pending: count("pending"),
    }
}
