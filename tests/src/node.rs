//! A real node: `weft dev` as a child process on free ports, and the ways in which people talk to it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::child::Process;
use crate::cli::{self, Run};
use crate::client::{self, Answer, Ask};
use crate::metrics::Scrape;
use crate::{PATIENCE, eventually, eventually_within, modules};

/// How long a start may take: each function of the folder is compiled, on a machine that may be busy.
const START: Duration = Duration::from_secs(120);

/// How a node is started.
#[derive(Debug, Default)]
pub struct Options {
    /// Further words of the command.
    pub args: Vec<String>,
    /// Variables of its environment.
    pub env: Vec<(String, String)>,
    /// Another binary than the one just built.
    pub binary: Option<PathBuf>,
}

impl Options {
    /// Options with further words of the command.
    pub fn args(words: &[&str]) -> Self {
        Self { args: words.iter().map(|word| (*word).to_owned()).collect(), ..Self::default() }
    }
}

/// A node that ended instead of becoming ready.
#[derive(Debug)]
pub struct DidNotStart {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl fmt::Display for DidNotStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weft dev ended with {} instead of starting:\n{}{}", self.code, self.stdout, self.stderr)
    }
}

/// A node that runs. Dropped, it is told to stop, and killed if it does not.
pub struct Node {
    process: Process,
    folder: PathBuf,
    /// Where it takes requests and events.
    pub http: SocketAddr,
    /// Where its admin API is.
    pub admin: SocketAddr,
}

impl Node {
    /// Starts `weft dev` on a folder and waits until it is ready.
    ///
    /// # Errors
    /// It ended instead.
    pub async fn start(folder: &Path, data: &Path, options: Options) -> Result<Self, DidNotStart> {
        let mut command = Command::new(options.binary.unwrap_or_else(modules::weft));
        command.arg("dev").arg(folder).args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]).arg(data);
        command.args(options.args).env_remove("RUST_LOG").env_remove("WEFT_ADMIN").envs(options.env);
        let mut process = Process::spawn(command);
        let banner = eventually_within(START, "the node's banner", async || {
            let said = process.stdout.text();
            match (address(&said, "requests"), address(&said, "admin"), process.ended()) {
                (Some(http), Some(admin), _) => Some(Ok((http, admin))),
                (_, _, Some(code)) => Some(Err(code)),
                _ => None,
            }
        });
        let (http, admin) = match banner.await {
            Ok(addresses) => addresses,
            Err(code) => {
                let (stdout, stderr) = (process.stdout.text(), process.stderr.text());
                return Err(DidNotStart { code, stdout, stderr });
            }
        };
        let node = Self { process, folder: folder.to_owned(), http, admin };
        eventually("the node is ready", async || {
            (node.ask_admin(Ask::get("/readyz")).await.status == 200).then_some(())
        })
        .await;
        Ok(node)
    }

    /// Sends a request to the data address and reads the whole answer.
    pub async fn ask(&self, ask: Ask) -> Answer {
        client::send(self.http, ask).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// `GET` of a function in the namespace `default`.
    pub async fn get(&self, function: &str, target: &str) -> Answer {
        self.ask(Ask::get(target).host(&format!("{function}.localhost"))).await
    }

    /// Sends a request to the admin address.
    pub async fn ask_admin(&self, ask: Ask) -> Answer {
        client::send(self.admin, ask.host("localhost")).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// A resource as the admin API has it, such as `("function", "hello")` of the namespace `default`.
    pub async fn resource(&self, kind: &str, name: &str) -> Value {
        let answer = self.ask_admin(Ask::get(format!("/api/v1/resources/{kind}/default/{name}"))).await;
        assert_eq!(answer.status, 200, "{kind} {name}: {}", answer.text());
        answer.json()
    }

    /// A number of a function's status, such as `calls`.
    pub async fn function_count(&self, function: &str, what: &str) -> u64 {
        let resource = self.resource("function", function).await;
        resource["status"][what].as_u64().unwrap_or_else(|| panic!("no status.{what} in {resource}"))
    }

    /// All metrics as they are now.
    pub async fn scrape(&self) -> Scrape {
        let answer = self.ask_admin(Ask::get("/metrics")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Scrape::read(&answer.text())
    }

    /// What the node wrote to standard error so far.
    pub fn log(&self) -> String {
        self.process.stderr.text()
    }

    /// The lines of the log that contain every one of `words`.
    pub fn log_lines(&self, words: &[&str]) -> Vec<String> {
        let log = self.log();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
    }

    /// Waits until the log has a line with every one of `words`, and gives it.
    pub async fn logged(&self, words: &[&str]) -> String {
        eventually(&format!("a line of the log with {words:?}"), async || self.log_lines(words).into_iter().next())
            .await
    }

    /// Runs a command of `weft` against this node, in the node's folder.
    pub async fn weft(&self, words: &[&str]) -> Run {
        self.weft_with_input(words, b"").await
    }

    /// The same, with bytes on standard input.
    pub async fn weft_with_input(&self, words: &[&str], input: &[u8]) -> Run {
        cli::run(words, &self.folder, Some(self.admin), input).await
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells the node to stop, and does not wait.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until the node has ended by itself, and gives its exit code and log.
    pub async fn ended(mut self) -> (i32, String) {
        let code = eventually_within(PATIENCE, "the node's end", async || self.process.ended()).await;
        (code, self.process.stderr.text())
    }

    /// Stops the node as an operator does, and fails unless it ends well.
    pub async fn stop(self) {
        self.terminate();
        let (code, log) = self.ended().await;
        assert_eq!(code, 0, "the node did not stop cleanly:\n{log}");
    }

    /// Kills the node at once.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// The address in a row of the banner: `  requests  http://127.0.0.1:8080`.
fn address(banner: &str, row: &str) -> Option<SocketAddr> {
    let whole = banner.rfind('\n').map(|end| &banner[..end])?;
    whole.lines().find_map(|line| line.trim().strip_prefix(row)?.trim().strip_prefix("http://")?.parse().ok())
}
