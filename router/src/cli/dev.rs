//! `weft dev`: the whole mesh in one process, for one person on one machine.
//!
//! What was typed ([`DevArgs`]) is checked into a [`Plan`] before anything starts; what runs is said by [`Banner`].
//! The node itself is `crate::app`.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use owo_colors::OwoColorize;

use super::failure::{FAILED, wrong};
use super::{signals, terminal};
use weft_functions::value::Name;

use crate::app::{Node, Settings, Way};
use crate::control::deployments::Applied;
use crate::control::watch::{self, LoadError};
use crate::edge::listener::EdgeLimits;
use crate::path::spiffe::SpiffeId;
use crate::targets::backend::Backend;
use crate::telemetry::logging;

/// Who every caller of `weft dev` is unless `--as` says otherwise.
pub const DEV_IDENTITY: &str = "spiffe://weft.local/ns/default/sa/dev";

/// What follows `NAME.NS.` in the addresses of `weft dev`. Browsers and curl resolve everything below it to loopback
/// (RFC 6761, section 6.3).
const DOMAIN: &str = "localhost";

/// The trust domain of the identities that `weft dev` asserts.
const TRUST_DOMAIN: &str = "weft.local";

/// Where the admin API listens unless `--admin` says otherwise: the port of [`super::DEFAULT_ADMIN`].
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// The folder below the manifests' folder where the node keeps its data unless `--data` says otherwise.
const DATA: &str = ".weft";

/// `weft dev [DIR]`; `--admin` is global, and means here where to listen.
#[derive(Debug, clap::Args)]
pub(super) struct DevArgs {
    /// The folder of manifests; watched
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where to take requests and events; loopback only
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: String,
    /// Where to keep events and what is deployed (default: DIR/.weft)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The identity of every caller (default: spiffe://weft.local/ns/default/sa/dev)
    #[arg(long = "as", value_name = "IDENTITY")]
    identity: Option<String>,
    /// Write a line for each call even if standard error is no terminal
    #[arg(long)]
    access_log: bool,
}

/// What is to run: every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The folder of manifests: it exists, and this is its absolute path.
    pub folder: PathBuf,
    /// Where to take requests and events: a loopback address; port 0 means any free one.
    pub http: SocketAddr,
    /// Where the admin API listens: a loopback address, not the same as `http`.
    pub admin: SocketAddr,
    /// Where the node keeps what must survive it. Need not exist.
    pub data: PathBuf,
    /// The SPIFFE id of every caller.
    pub identity: SpiffeId,
    /// Access lines even if standard error is no terminal.
    pub access_log: bool,
}

impl DevArgs {
    /// Checks what was typed; `admin` is the global `--admin`.
    pub(super) fn plan(self, admin: Option<&str>) -> anyhow::Result<Plan> {
        let Self { folder, http, data, identity, access_log } = self;
        // The real path: clients, who ask the node for it, stand elsewhere.
        let folder =
            folder.canonicalize().ok().filter(|real| real.is_dir()).ok_or_else(|| {
                wrong(format!("{} is not a folder: name the folder of the manifests", folder.display()))
            })?;
        let http = loopback("--http", &http)?;
        let admin = admin.map_or(Ok(ADMIN), |text| loopback("--admin", text))?;
        if http == admin && http.port() != 0 {
            return Err(wrong(format!("--http and --admin are both {http}: give them two ports")));
        }
        let identity = check_identity(identity.as_deref().unwrap_or(DEV_IDENTITY))?;
        let data = data.unwrap_or_else(|| folder.join(DATA));
        Ok(Plan { folder, http, admin, data, identity, access_log })
    }
}

/// Runs the mesh until it is told to stop.
///
/// # Errors
/// When it cannot start, or did not stop cleanly.
pub(super) fn run(plan: Plan) -> anyhow::Result<ExitCode> {
    logging::start(plan.access_log || std::io::stderr().is_terminal());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(serve(plan));
    // What a start that was given up still compiles must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn serve(plan: Plan) -> anyhow::Result<ExitCode> {
    let shutdown = signals::shutdown()?;
    // Given up half way it is as after a kill, which the event log is made for.
    let node = tokio::select! {
        started = Node::start(settings(&plan)?) => started?,
        () = shutdown.cancelled() => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    let loaded = tokio::select! {
        loaded = node.load() => loaded,
        () = shutdown.cancelled() => {
            node.abandon().await?;
            return Ok(ExitCode::from(super::INTERRUPTED));
        }
    };
    if let Err(error) = loaded {
        terminal::note(&error.render(terminal::colour(&std::io::stderr())));
        node.abandon().await?;
        return Ok(ExitCode::from(FAILED));
    }
    let banner = banner(&Banner::of(&node, &plan), terminal::colour(&std::io::stdout()));
    terminal::write(banner.as_bytes())?;
    node.run(report, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn settings(plan: &Plan) -> anyhow::Result<Settings> {
    let way =
        Way::Dev { http: plan.http, admin: plan.admin, folder: plan.folder.clone(), identity: plan.identity.clone() };
    let limits = EdgeLimits::default();
    Ok(Settings {
        data: plan.data.clone(),
        domain: DOMAIN.to_owned(),
        trust_domain: TRUST_DOMAIN.parse()?,
        limits,
        backend: Backend::Runtime,
        way,
    })
}

/// Says what a reload did: on success what changed, on failure every mistake. The last good state goes on serving.
fn report(result: Result<Applied, LoadError>) {
    match result {
        Ok(applied) => {
            if let Some(line) = watch::summary(&applied) {
                tracing::info!("{line}");
            }
        }
        Err(error) => {
            terminal::note(&error.render(terminal::colour(&std::io::stderr())));
            tracing::warn!("the folder was not reloaded; what was deployed before goes on serving");
        }
    }
}

/// Reads `HOST:PORT` whose host is loopback. `dev` gives whoever connects an identity, so nobody else may connect.
fn loopback(flag: &str, text: &str) -> anyhow::Result<SocketAddr> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr =
        named.as_deref().unwrap_or(text).parse().map_err(|_| {
            wrong(format!("{flag} {text}: expected the HOST:PORT to listen on, such as 127.0.0.1:8080"))
        })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(wrong(format!(
        "{flag} {text}: 'weft dev' listens on loopback only, because it trusts every caller; use 127.0.0.1:{}",
        address.port()
    )))
}

/// `spiffe://TRUST-DOMAIN/PATH` (SPIFFE ID, section 2): no port, query, fragment or empty segment.
fn check_identity(text: &str) -> anyhow::Result<SpiffeId> {
    text.parse().map_err(|_| wrong(format!("--as {text}: expected a SPIFFE id such as {DEV_IDENTITY}")))
}

/// What a started node tells the person who started it.
#[derive(Debug, Clone, Default)]
pub struct Banner {
    /// The version of weft.
    pub version: String,
    /// The folder that is watched.
    pub folder: String,
    /// Where requests and events are taken: `http://127.0.0.1:8080`.
    pub http: String,
    /// Where the admin API is: `http://127.0.0.1:8081`.
    pub admin: String,
    /// Who every caller is.
    pub identity: String,
    /// Name and address of each function.
    pub functions: Vec<(String, String)>,
    /// Name and address of each topic.
    pub topics: Vec<(String, String)>,
}

impl Banner {
    fn of(node: &Node, plan: &Plan) -> Self {
        let view = node.deployments.view();
        let port = node.info.http.map_or(plan.http.port(), |http| http.port());
        let mut functions: Vec<(String, String)> = view
            .snapshot
            .functions
            .keys()
            .map(|name| {
                (
                    name.relative_to(&Name::default_namespace()),
                    format!("http://{}:{port}/", node.names.function_host(name)),
                )
            })
            .collect();
        functions.sort();
        let mut topics: Vec<(String, String)> = view
            .snapshot
            .topics
            .keys()
            .map(|name| {
                (
                    name.relative_to(&Name::default_namespace()),
                    format!("http://{}:{port}/{name}", node.names.topics_host()),
                )
            })
            .collect();
        topics.sort();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            folder: plan.folder.display().to_string(),
            http: format!("http://{}", node.info.http.unwrap_or(plan.http)),
            admin: format!("http://{}", node.info.admin),
            identity: plan.identity.to_string(),
            functions,
            topics,
        }
    }
}

/// The banner as text, ending in a line end. `colour` adds ANSI codes.
#[must_use]
pub fn banner(banner: &Banner, colour: bool) -> String {
    let Banner { version, folder, http, admin, identity, functions, topics } = banner;
    let title = format!("weft {version}, development: loopback only, every caller is {identity}");
    let mut rows = vec![("watching", String::new(), folder.clone())];
    rows.push(("requests", String::new(), http.clone()));
    rows.push(("admin", String::new(), admin.clone()));
    let kinds = [("function", functions), ("topic", topics)];
    for (kind, resources) in kinds {
        rows.extend(resources.iter().map(|(name, url)| (kind, name.clone(), url.clone())));
    }
    let width = rows.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or(0);
    let gap = if width == 0 { 0 } else { width + 2 };
    let mut text = if colour { format!("{}\n", title.bold()) } else { format!("{title}\n") };
    for (kind, name, value) in rows {
        let label = if name.is_empty() { format!("{kind:<10}{:gap$}", "") } else { format!("{kind:<10}{name:<gap$}") };
        let label = if colour { label.dimmed().to_string() } else { label };
        text.push_str(&format!("  {label}{value}\n"));
    }
    if !functions.is_empty() {
        text.push_str("  try       weft get all\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::failure::exit_code;
    use crate::cli::{Cli, Command};

    fn plan(words: &[&str]) -> anyhow::Result<Plan> {
        let cli = Cli::try_parse_from(["weft", "dev"].iter().chain(words)).unwrap();
        match cli.command {
            Command::Dev(args) => args.plan(cli.global.admin.as_deref()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_manual() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let expect = Plan {
            folder: here.clone(),
            http: "127.0.0.1:8080".parse().unwrap(),
            admin: "127.0.0.1:8081".parse().unwrap(),
            data: here.join(".weft"),
            identity: DEV_IDENTITY.parse().unwrap(),
            access_log: false,
        };
        assert_eq!(plan(&[]).unwrap(), expect);
        assert_eq!(format!("http://{ADMIN}"), super::super::DEFAULT_ADMIN);
    }

    #[test]
    fn what_is_typed_is_what_runs() {
        let identity = "spiffe://weft.local/ns/shop/sa/clerk";
        let words =
            ["/tmp", "--http", "localhost:0", "--admin", "[::1]:0", "--data", "/d", "--as", identity, "--access-log"];
        let expect = Plan {
            folder: "/tmp".into(),
            http: "127.0.0.1:0".parse().unwrap(),
            admin: "[::1]:0".parse().unwrap(),
            data: "/d".into(),
            identity: identity.parse().unwrap(),
            access_log: true,
        };
        assert_eq!(plan(&words).unwrap(), expect);
    }

    #[test]
    fn nobody_else_may_connect_and_mistakes_are_explained() {
        let check = |words: &[&str], expect: &str| {
            let error = plan(words).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error:#}");
            assert!(error.to_string().contains(expect), "{error:#}");
        };
        check(
            &["--http", "0.0.0.0:8080"],
            "listens on loopback only, because it trusts every caller; use 127.0.0.1:8080",
        );
        check(&["--http", "[::]:8080"], "loopback only");
        check(&["--admin", "192.0.2.1:1"], "--admin 192.0.2.1:1: 'weft dev' listens on loopback only");
        check(&["--admin", "http://127.0.0.1:8081"], "expected the HOST:PORT to listen on");
        check(&["--http", "8080"], "expected the HOST:PORT to listen on");
        check(&["--http", "127.0.0.1:8081"], "give them two ports");
        check(&["/no/such/folder"], "is not a folder");
        for identity in
            ["dev", "spiffe://weft.local", "spiffe:///ns/a", "spiffe://td/a//b", "spiffe://td/../a", "spiffe://TD/a"]
        {
            check(&["--as", identity], "expected a SPIFFE id");
        }
    }

    #[test]
    fn the_banner_says_who_and_where() {
        let said = banner(
            &Banner {
                version: "0.1.0".into(),
                folder: "/srv/app".into(),
                http: "http://127.0.0.1:8080".into(),
                admin: "http://127.0.0.1:8081".into(),
                identity: DEV_IDENTITY.into(),
                functions: vec![("hello".into(), "http://hello.localhost:8080/".into())],
                topics: vec![("orders".into(), "http://topics.localhost:8080/default/orders".into())],
            },
            false,
        );
        let expect = "\
weft 0.1.0, development: loopback only, every caller is spiffe://weft.local/ns/default/sa/dev
  watching          /srv/app
  requests          http://127.0.0.1:8080
  admin             http://127.0.0.1:8081
  function  hello   http://hello.localhost:8080/
  topic     orders  http://topics.localhost:8080/default/orders
  try       weft get all
";
        assert_eq!(said, expect);
    }
}
