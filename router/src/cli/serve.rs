//! `weft serve`: one node, as its file says. What it serves comes through the admin API and is kept; there is no folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weft_functions::manifest::Problem;

use super::failure::wrong;
use super::{Global, manifests, mistakes, signals, terminal};
use crate::app::{Node, Settings, Way};
use crate::config::file::Settings as File;
use crate::config::file::{self, IdentitySource};
use crate::control::admin::NodeInfo;
use crate::edge::listener::EdgeLimits;
use crate::edge::tls::source::{Files, Source};
use crate::targets::backend::Backend;
use crate::telemetry::logging;

/// `weft serve --config FILE`
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The node's file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write a line for each call that was let through; refusals are always written
    #[arg(long)]
    access_log: bool,
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// When it cannot start, or did not stop cleanly.
pub(super) fn run(args: &ServeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    if global.admin.is_some() {
        return Err(wrong("'weft serve' takes its admin addresses from its file: see listen.admin"));
    }
    match read(&args.config)? {
        Ok(file) => start(file, args.access_log, Backend::Runtime),
        Err(problems) => mistakes::ours(&problems, global),
    }
}

/// Runs a node as `weft serve` does with the file `config`, but with something else behind the names of functions.
///
/// # Errors
/// As `weft serve`.
pub fn serve_with(config: &Path, backend: Backend) -> anyhow::Result<ExitCode> {
    match read(config)? {
        Ok(file) => start(file, false, backend),
        Err(problems) => anyhow::bail!("{}: {} mistakes; weft check lists them", config.display(), problems.len()),
    }
}

fn read(config: &Path) -> anyhow::Result<Result<File, Vec<Problem>>> {
    let source = manifests::read_file(config)?;
    Ok(file::parse(&source, config.parent().unwrap_or(Path::new(""))))
}

fn start(file: File, access_log: bool, backend: Backend) -> anyhow::Result<ExitCode> {
    logging::start(access_log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(serve(settings(file, backend)));
    // What a start that was given up still compiles must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let shutdown = signals::shutdown()?;
    // Given up half way it is as after a kill, which the event log is made for.
    let node = tokio::select! {
        started = Node::start(settings) => started?,
        () = shutdown.cancelled() => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    // There is no folder, so there is nothing to be wrong with one.
    node.load().await.map_err(|error| anyhow::anyhow!(error.render(false)))?;
    terminal::write(banner(&node.info).as_bytes())?;
    node.run(|_| {}, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn settings(file: File, backend: Backend) -> Settings {
    let File { trust_domain, domain, data, listen, identity, default, limits } = file;
    let limits = EdgeLimits {
        connections: usize::try_from(limits.connections).unwrap_or(usize::MAX),
        per_source: usize::try_from(limits.connections_per_source).unwrap_or(usize::MAX),
        drain: limits.drain,
        ..EdgeLimits::default()
    };
    let identity = match identity {
        IdentitySource::Ca(folder) => Source::Authority(folder),
        IdentitySource::Files { cert, key, bundle, crl } => Source::Files(Files { cert, key, bundle, crl }),
        IdentitySource::WorkloadApi(socket) => Source::WorkloadApi(socket),
    };
    let way = Way::Serve { listen, identity, default };
    Settings { data, domain: domain.into(), trust_domain, limits, backend, way }
}

/// What a started node tells whoever started it.
fn banner(info: &NodeInfo) -> String {
    let mut text = format!("weft {}, {}\n", env!("CARGO_PKG_VERSION"), info.identity);
    let ways = [
        (info.mtls, "https", "with a client's certificate"),
        (info.tls, "https", "with a token, or as nobody"),
        (info.http, "http", "without TLS, on loopback"),
    ];
    for (address, scheme, who) in ways {
        if let Some(address) = address {
            text.push_str(&format!("  calls     {scheme}://{address}  {who}\n"));
        }
    }
    text + &format!("  admin     {}\n", info.admin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::admin::Mode;

    #[test]
    fn the_banner_says_who_and_where() {
        let info = NodeInfo {
            mode: Mode::Serve,
            http: None,
            mtls: "0.0.0.0:8443".parse().ok(),
            tls: "0.0.0.0:8444".parse().ok(),
            admin: "unix:/run/weft/admin.sock".into(),
            identity: "spiffe://weft.local/node/n1".into(),
            folder: None,
        };
        let expect = format!(
            "weft {}, spiffe://weft.local/node/n1\n  calls     https://0.0.0.0:8443  with a client's certificate\n  \
             calls     https://0.0.0.0:8444  with a token, or as nobody\n  admin     unix:/run/weft/admin.sock\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner(&info), expect);
    }
}
