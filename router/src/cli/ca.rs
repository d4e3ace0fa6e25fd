//! `weft ca`: an authority of one's own, for development and small meshes. Needs no node: it makes files, and a node that
//! uses the folder sees by itself what changes in it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use weft_eventlog::{Clock, SystemClock};
use weft_functions::value::Namespaced;

use super::failure::wrong;
use super::{Global, terminal};
use crate::edge::tls::authority::files;
use crate::path::spiffe::TrustDomain;

/// `weft ca init|issue|revoke`
#[derive(Debug, clap::Args)]
pub(super) struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CaCommand {
    /// Make an authority: its certificate, its key, and the bundle that clients and nodes trust
    Init(InitArgs),
    /// Make a client's certificate and key, for a day
    Issue(IssueArgs),
    /// Revoke certificates; nodes cut their connections within seconds
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The trust domain whose identities it makes, such as weft.local
    #[arg(long, value_name = "TRUST-DOMAIN")]
    trust_domain: String,
}

#[derive(Debug, clap::Args)]
struct IssueArgs {
    /// The client's name, or NAMESPACE/NAME; its identity is spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME
    name: String,
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to write OUT.crt and OUT.key
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// The certificate to revoke, in PEM
    #[arg(value_name = "FILE")]
    certificate: PathBuf,
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &CaArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now_ms();
    match &args.command {
        CaCommand::Init(args) => init(args, global, now),
        CaCommand::Issue(args) => issue(args, global, now),
        CaCommand::Revoke(args) => revoke(args, global, now),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn init(args: &InitArgs, global: &Global, now: u64) -> anyhow::Result<()> {
    let InitArgs { dir, trust_domain } = args;
    let trust_domain: TrustDomain = trust_domain
        .parse()
        .map_err(|_| wrong(format!("--trust-domain {trust_domain}: expected a name such as weft.local")))?;
    files::init(dir, &trust_domain, now)?;
    let bundle = dir.join(files::BUNDLE);
    if global.json() {
        return terminal::say_json(&json!({
            "trustDomain": trust_domain.as_str(),
            "certificate": dir.join(files::ROOT),
            "key": dir.join(files::KEY),
            "bundle": bundle,
        }));
    }
    terminal::say(&format!("made the authority of {trust_domain} in {}", dir.display()))?;
    terminal::say(&format!("clients and nodes trust {}; keep {} to yourself", bundle.display(), files::KEY))
}

fn issue(args: &IssueArgs, global: &Global, now: u64) -> anyhow::Result<()> {
    let Namespaced { namespace, name }: Namespaced = global.target(&args.name)?;
    let authority = files::open(&args.dir)?;
    let id = authority.trust_domain().client(&namespace, &name);
    let issued = authority.issue(&id, &[], now)?;
    let (certificate, key) = files::write_issued(&args.out, &issued)?;
    if global.json() {
        return terminal::say_json(&json!({
            "id": id.as_str(),
            "certificate": certificate,
            "key": key,
            "bundle": args.dir.join(files::BUNDLE),
        }));
    }
    terminal::say(&format!("{} and {} are {id} for 24 h", shown(&certificate), shown(&key)))
}

fn revoke(args: &RevokeArgs, global: &Global, now: u64) -> anyhow::Result<()> {
    let path = &args.certificate;
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    let serials = files::revoke(&args.dir, &text, now)?;
    let list = args.dir.join(files::LIST);
    if global.json() {
        return terminal::say_json(&json!({ "revoked": serials, "crl": list }));
    }
    match serials.as_slice() {
        [] => terminal::say(&format!("{} was revoked already", shown(path))),
        serials => terminal::say(&format!("revoked {}, in {}", serials.join(", "), shown(&list))),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn ca(words: &[&str]) -> anyhow::Result<ExitCode> {
        let cli = Cli::try_parse_from(["weft", "ca"].iter().chain(words)).unwrap();
        match cli.command {
            Command::Ca(args) => run(&args, &cli.global),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_authority_issues_and_revokes() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        let (dir, out) = (path("ca"), path("clerk"));
        ca(&["init", "--dir", &dir, "--trust-domain", "weft.local"]).unwrap();
        ca(&["issue", "clerk", "-n", "shop", "--dir", &dir, "--out", &out]).unwrap();
        let chain = crate::edge::tls::bundle::certificates(&std::fs::read(path("clerk.crt")).unwrap()).unwrap();
        let svid = crate::edge::tls::svid::read(&chain, crate::edge::tls::svid::Role::Client).unwrap();
        assert_eq!(svid.id.as_str(), "spiffe://weft.local/ns/shop/sa/clerk");
        ca(&["revoke", &path("clerk.crt"), "--dir", &dir]).unwrap();
        assert!(std::path::Path::new(&path("ca/crl.pem")).exists());
    }

    #[test]
    fn mistakes_are_said() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("ca").display().to_string();
        let check = |words: &[&str], expect: &str| {
            let error = ca(words).unwrap_err().to_string();
            assert!(error.contains(expect), "{words:?}: {error}");
        };
        check(&["init", "--dir", &dir, "--trust-domain", "Weft Local"], "expected a name such as weft.local");
        check(&["issue", "clerk", "--dir", &dir, "--out", "x"], "cannot read");
        check(&["revoke", "/no/such/file", "--dir", &dir], "cannot read /no/such/file");
        check(&["issue", "shop/clerk", "-n", "other", "--dir", &dir, "--out", "x"], "give one of them");
    }
}
