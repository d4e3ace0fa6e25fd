//! The command line: what may be typed, and which command it means.
//!
//! Everything here is one way: words become [`Cli`] (what was typed), a command turns its own words into what they
//! mean (and says no with exit 2 when they mean nothing), talks to the node through [`client`], and prints. Each
//! command is a file of its own and knows no other. Nothing else in the router knows this module.
//!
//! Exit codes: 0 done, 1 the mesh said no or the work failed, 2 the command was wrong. Ctrl-C ends quietly with the
//! shell's own 130; a reader that closes our standard output early (`weft get functions | head -1`) is success.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use weft_functions::manifest::Kind;
use weft_functions::value::{Name, Namespaced};

pub mod dev;
pub mod serve;

mod apply;
mod ca;
mod check;
mod client;
mod completions;
mod dead;
mod delete;
mod deploy;
mod describe;
mod explain;
mod failure;
mod get;
mod invoke;
mod job;
mod manifests;
mod mistakes;
mod modules;
mod payload;
mod publish;
mod replay;
mod resource;
mod signals;
mod table;
mod tail;
mod terminal;

#[cfg(test)]
mod stub_node;
#[cfg(test)]
mod tests;

use client::{Address, Admin, Proof, ProofArgs};
use failure::wrong;

/// Where a node's admin API listens unless `--admin` or `WEFT_ADMIN` says otherwise; `weft dev` listens there too.
pub const DEFAULT_ADMIN: &str = "http://127.0.0.1:8081";

/// The namespace of a name that is given without one.
const DEFAULT_NAMESPACE: &str = "default";

/// What Ctrl-C answers: 128 + SIGINT, as a shell reports a program that the signal ended.
const INTERRUPTED: u8 = 130;

/// Commands that later versions have. Typing one is no typing mistake, and the answer must not suggest it is.
const LATER: [&str; 4] = ["top", "tap", "new", "build"];

/// An event-aware serverless mesh: deploy functions, publish events, invoke functions over HTTP.
#[derive(Debug, Parser)]
#[command(name = "weft", version, disable_help_subcommand = false, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes, before or after its own words.
#[derive(Debug, Clone, Args)]
struct Global {
    /// The node's admin API: http(s)://HOST:PORT or unix:PATH (default: WEFT_ADMIN, else http://127.0.0.1:8081); for
    /// `dev` the HOST:PORT to listen on
    #[arg(long, global = true, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The namespace of what is named
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Print for people or for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Who reads the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A person: tables and sentences.
    Text,
    /// A program: JSON, one document (`tail`: one per line).
    Json,
}

/// The commands of this version.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole mesh in one process from a folder of manifests, on loopback; watches and reloads
    Dev(dev::DevArgs),
    /// Run one node as its file says: mutual TLS, and nothing is allowed that no policy allows
    Serve(serve::ServeArgs),
    /// Deploy a function from a wasm module
    Deploy(deploy::DeployArgs),
    /// Apply manifests: a file, a folder, or - for standard input
    Apply(apply::ApplyArgs),
    /// List resources of a kind, or show one
    Get(get::GetArgs),
    /// Show one resource in full: effective settings, counters, recent changes
    Describe(describe::DescribeArgs),
    /// Say why a request, an event or a past decision gets the answer it gets
    Explain(explain::ExplainArgs),
    /// Delete a resource
    Delete(delete::DeleteArgs),
    /// Call a function over HTTP and print its answer; exit 0 only on 2xx
    Invoke(invoke::InvokeArgs),
    /// Publish an event to a topic; exit 0 once it is kept
    Publish(publish::PublishArgs),
    /// Follow the events of a topic
    Tail(tail::TailArgs),
    /// What a trigger gave up, was denied, or let expire: list it, show it, deliver it once more
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Deliver events of the past to a trigger once more
    Replay(replay::ReplayArgs),
    /// List, watch and stop redrives and replays
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Check manifests offline: every mistake with its file and line
    Check(check::CheckArgs),
    /// Make and use an authority of one's own: certificates for clients
    Ca(ca::CaArgs),
    /// Print the completion script of a shell
    Completions(completions::CompletionsArgs),
}

impl Global {
    /// The client of the node that `--admin`, else `WEFT_ADMIN`, else the default names.
    fn client(&self) -> anyhow::Result<Admin> {
        let environment = std::env::var("WEFT_ADMIN").ok().filter(|value| !value.is_empty());
        let text = self.admin.clone().or(environment).unwrap_or_else(|| DEFAULT_ADMIN.to_owned());
        let address: Address = text.parse().map_err(wrong)?;
        Ok(Admin::new(address).with_proof(Proof::read(&self.proof)?))
    }

    fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// The namespace that was typed, checked; `None` when none was.
    fn typed_namespace(&self) -> anyhow::Result<Option<Name>> {
        self.namespace
            .as_deref()
            .map(|text| text.parse().map_err(|error| wrong(format!("--namespace: {error}"))))
            .transpose()
    }

    /// What `name` or `namespace/name` means beside `-n`; the two may not contradict each other.
    ///
    /// What comes out is made of DNS labels: it needs no escaping in a path or a host name.
    fn target(&self, text: &str) -> anyhow::Result<Namespaced> {
        let typed = self.typed_namespace()?;
        let home = typed.clone().unwrap_or_else(Name::default_namespace);
        let target = Namespaced::parse_in(&home, text).map_err(|error| wrong(error.to_string()))?;
        match typed {
            Some(typed) if typed != target.namespace => Err(wrong(format!(
                "{text} is in the namespace {}, but --namespace says {typed}: give one of them",
                target.namespace
            ))),
            _ => Ok(target),
        }
    }

    /// As [`Self::target`], for a resource of any kind: a namespace lives in itself.
    fn named(&self, kind: Kind, text: &str) -> anyhow::Result<Namespaced> {
        match (kind, text.parse::<Name>()) {
            (Kind::Namespace, Ok(name)) => Ok(Namespaced::new(name.clone(), name)),
            _ => self.target(text),
        }
    }
}

/// The whole program: read the words, do the command, say what went wrong once, answer the shell.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

/// Answers words that are no command: help and version go to standard output with 0, all else is exit 2.
fn not_a_command(error: &clap::Error) -> ExitCode {
    if let Some(word) = later_command(error) {
        terminal::complain(&format!("weft {word} is not in this version yet"));
        return ExitCode::from(failure::WRONG);
    }
    // A closed output is the reader's choice, as everywhere else.
    let _closed = error.print();
    if error.use_stderr() { ExitCode::from(failure::WRONG) } else { ExitCode::SUCCESS }
}

/// The command of a later version that was typed, if that is what is wrong with the words.
fn later_command(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => LATER.into_iter().find(|later| later == word),
        _ => None,
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        // `dev` is a node, not a client: it starts its own threads.
        Command::Dev(args) => dev::run(args.plan(global.admin.as_deref())?),
        Command::Serve(args) => serve::run(&args, &global),
        Command::Check(args) => check::run(&args, &global),
        Command::Completions(args) => completions::run(&args),
        Command::Ca(args) => ca::run(&args, &global),
        client_command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let code = runtime.block_on(async {
                tokio::select! {
                    done = run_client(client_command, &global) => done,
                    interrupted = tokio::signal::ctrl_c() => {
                        interrupted?;
                        Ok(ExitCode::from(INTERRUPTED))
                    }
                }
            });
            // A read of a terminal or a pipe cannot be cancelled; it must not keep a finished command alive.
            runtime.shutdown_background();
            code
        }
    }
}

async fn run_client(command: Command, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        Command::Deploy(args) => Box::pin(deploy::run(&args, global)).await,
        Command::Apply(args) => Box::pin(apply::run(&args, global)).await,
        Command::Get(args) => Box::pin(get::run(&args, global)).await,
        Command::Describe(args) => Box::pin(describe::run(&args, global)).await,
        Command::Explain(args) => Box::pin(explain::run(&args, global)).await,
        Command::Delete(args) => Box::pin(delete::run(&args, global)).await,
        Command::Invoke(args) => Box::pin(invoke::run(&args, global)).await,
        Command::Publish(args) => Box::pin(publish::run(&args, global)).await,
        Command::Tail(args) => Box::pin(tail::run(&args, global)).await,
        Command::Dead(command) => Box::pin(dead::run(&command, global)).await,
        Command::Replay(args) => Box::pin(replay::run(&args, global)).await,
        Command::Job(command) => Box::pin(job::run(&command, global)).await,
        Command::Dev(_) | Command::Serve(_) | Command::Check(_) | Command::Completions(_) | Command::Ca(_) => {
            anyhow::bail!("this command needs no node and was sent to one: please report this")
        }
    }
}
