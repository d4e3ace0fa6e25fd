//! A node of `weft serve` as an operator has it: an authority, a file of settings, certificates for clients.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::child::Process;
use crate::cli::{self, Run};
use crate::client::{self, Answer, Ask};
use crate::metrics::Scrape;
use crate::{PATIENCE, access, eventually, eventually_within, modules};

/// What the node is called by its clients.
pub const DOMAIN: &str = "mesh.example";

/// The trust domain of everybody here.
pub const TRUST_DOMAIN: &str = "weft.local";

/// How long a start may take on a machine that is busy.
const START: Duration = Duration::from_secs(60);

/// A folder with an authority (`ca`), a node's data and whatever else a test puts there.
pub struct Site {
    home: TempDir,
}

impl Site {
    /// A site with a new authority.
    pub async fn new() -> Self {
        let site = Self { home: tempfile::tempdir().expect("a temporary folder") };
        site.weft(&["ca", "init", "--dir", "ca", "--trust-domain", TRUST_DOMAIN]).await.ok();
        site
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file of the folder at once, so that nobody ever reads half of it.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let unfinished = self.path("unfinished");
        fs::write(&unfinished, text).expect("a file of the site");
        fs::rename(&unfinished, self.path(name)).expect("a file of the site");
    }

    /// Puts a guest into the folder.
    pub fn guest(&self, name: &str) {
        fs::copy(modules::guest(name), self.path(&format!("{name}.wasm"))).expect("a guest");
    }

    /// Makes `NAME.crt` and `NAME.key` for `/ns/default/sa/NAME`.
    pub async fn issue(&self, name: &str) {
        self.weft(&["ca", "issue", name, "--dir", "ca", "--out", name]).await.ok();
    }

    /// Runs a command that needs no node, in the folder.
    pub async fn weft(&self, words: &[&str]) -> Run {
        cli::run(words, self.home.path(), None, b"").await
    }

    /// Starts a node whose certificate is the authority's; `more` are further lines of its file.
    pub async fn start(&self, more: &str) -> Served {
        self.start_with(&format!("identity: {{ ca: ca }}\n{more}")).await
    }

    /// Starts a node; `more` are the lines of its file that say its identity, and others.
    pub async fn start_with(&self, more: &str) -> Served {
        self.start_program(&modules::weft(), &[], more).await
    }

    /// Starts a node whose certificate is the authority's, and which writes down every call.
    pub async fn start_with_access_log(&self) -> Served {
        self.start_program(&modules::weft(), &["--access-log"], "identity: { ca: ca }\n").await
    }

    /// Starts a node of a program that takes the words of `weft serve`; `words` come after them.
    pub async fn start_program(&self, program: &Path, words: &[&str], more: &str) -> Served {
        let listen = "mtls: \"127.0.0.1:0\", tls: \"127.0.0.1:0\", plain: \"127.0.0.1:0\", admin: \"unix:admin.sock\"";
        let text = format!(
            "trustDomain: {TRUST_DOMAIN}\ndomain: {DOMAIN}\ndata: data\n\
             listen: {{ {listen}, adminMtls: \"127.0.0.1:0\" }}\n{more}"
        );
        self.write("node.yaml", text);
        let mut command = Command::new(program);
        command.args(["serve", "--config", "node.yaml"]).args(words).current_dir(self.home.path());
        command.env_remove("RUST_LOG").env_remove("WEFT_ADMIN");
        let mut process = Process::spawn(command);
        let said = eventually_within(START, "the node's banner", async || {
            let said = process.stdout.text();
            let whole = said.lines().any(|line| line.trim_start().starts_with("admin") && said.ends_with('\n'));
            match (whole, process.ended()) {
                (true, _) => Some(said),
                (false, Some(code)) => panic!("weft serve ended with {code}:\n{said}{}", process.stderr.text()),
                (false, None) => None,
            }
        });
        let said = said.await;
        let after = |mark: &str| -> Option<SocketAddr> {
            let (_, rest) = said.split_once(mark)?;
            rest.split([' ', '\n']).next()?.parse().ok()
        };
        let address =
            |what: &str, mark: &str| after(mark).unwrap_or_else(|| panic!("no {what} in the banner:\n{said}"));
        let calls: Vec<_> = said.split("calls     https://").skip(1).collect();
        let of = |text: &str| text.split(' ').next().and_then(|text| text.parse().ok()).expect("an address");
        let served = Served {
            mtls: of(calls.first().unwrap_or_else(|| panic!("no mtls address in the banner:\n{said}"))),
            tls: of(calls.get(1).unwrap_or_else(|| panic!("no tls address in the banner:\n{said}"))),
            plain: address("plain address", "calls     http://"),
            admin_mtls: address("admin address", ", https://"),
            folder: self.home.path().to_owned(),
            process,
        };
        eventually("the node is ready", async || (served.ready().await).then_some(())).await;
        served
    }
}

/// A node of `weft serve` that runs. Dropped, it is told to stop, and killed if it does not.
pub struct Served {
    process: Process,
    folder: PathBuf,
    /// Where it takes calls with a client's certificate.
    pub mtls: SocketAddr,
    /// Where it takes calls over TLS without one.
    pub tls: SocketAddr,
    /// Where it takes calls without TLS.
    pub plain: SocketAddr,
    /// Its admin API over TLS.
    pub admin_mtls: SocketAddr,
}

impl Served {
    /// Sends a request to the admin socket.
    pub async fn ask_admin(&self, ask: Ask) -> Answer {
        let socket = self.folder.join("admin.sock");
        let stream = UnixStream::connect(&socket).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", socket.display()));
        client::send_on(stream, ask.host("localhost")).await.expect("an answer of the admin API")
    }

    /// What the admin API has at an address.
    pub async fn json(&self, target: &str) -> Value {
        let answer = self.ask_admin(Ask::get(target)).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// All metrics as they are now.
    pub async fn scrape(&self) -> Scrape {
        let answer = self.ask_admin(Ask::get("/metrics")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Scrape::read(&answer.text())
    }

    /// Runs a command of `weft` against this node's admin socket, in its folder.
    pub async fn weft(&self, words: &[&str]) -> Run {
        let words: Vec<_> = ["--admin", "unix:admin.sock"].iter().chain(words).copied().collect();
        cli::run(&words, &self.folder, None, b"").await
    }

    /// Applies manifests.
    pub async fn apply(&self, text: &str) {
        fs::write(self.folder.join("app.yaml"), text).expect("a manifest");
        self.weft(&["apply", "-f", "app.yaml"]).await.ok();
    }

    async fn ready(&self) -> bool {
        self.ask_admin(Ask::get("/readyz")).await.status == 200
    }

    /// A command of curl that knows the mesh's names as this node's, and trusts its authority. `addr` is one of its own.
    pub fn curl(&self, addr: SocketAddr) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("curl");
        command.current_dir(&self.folder).args(["-sS", "--max-time", "30", "--cacert", "ca/bundle.pem"]);
        for name in ["echo", "other", "topics"] {
            command.arg("--resolve").arg(format!("{name}.{DOMAIN}:{}:127.0.0.1", addr.port()));
        }
        command
    }

    /// What the node wrote to standard error so far.
    pub fn log(&self) -> String {
        self.process.stderr.text()
    }

    /// The calls that it wrote down so far; those that were let through are among them if it was started so.
    pub fn access(&self) -> Vec<access::Line> {
        access::lines(&self.log())
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops the node as an operator does, and fails unless it ends well.
    pub async fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let code = eventually_within(PATIENCE, "the node's end", async || self.process.ended()).await;
        assert_eq!(code, 0, "the node did not stop cleanly:\n{}", self.process.stderr.text());
    }
}
