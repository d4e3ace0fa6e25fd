//! Reads the settings file key by key and notes every mistake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use weft_functions::manifest::{Code, Field, Findings, Section};
use weft_functions::value::Duration;

use super::{IdentitySource, Limits, Listen, Settings};
use crate::path::policy;

const KEYS: [&str; 7] = ["trustDomain", "domain", "data", "listen", "identity", "policy", "limits"];
/// Keys of the language that this version does not have.
const LATER_KEYS: [&str; 1] = ["nats"];
const LISTEN_KEYS: [&str; 5] = ["mtls", "tls", "plain", "admin", "adminMtls"];
const IDENTITY_KEYS: [&str; 3] = ["ca", "files", "workloadApi"];
const FILE_KEYS: [&str; 4] = ["cert", "key", "bundle", "crl"];
const LIMIT_KEYS: [&str; 3] = ["connections", "connectionsPerSource", "drain"];

/// Where the node listens for calls unless the file says otherwise.
const MTLS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);

/// Where the admin API listens unless the file says otherwise.
const ADMIN: &str = "/run/weft/admin.sock";

/// Longest domain in bytes (RFC 1035, section 2.3.4), less the two labels that go before it.
const DOMAIN_BYTES: usize = 253 - 2 * 64;

/// Longest path of a unix socket in bytes (`sun_path`, unix(7)), with its end.
const SOCKET_BYTES: usize = 108;

/// How long calls in flight may go on unless the file says otherwise.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// The longest drain: an hour of waiting is a node that hangs.
const DRAIN_MAX: Duration = Duration::from_secs(60 * 60);

pub(super) fn settings(root: &Field<'_>, folder: &Path, out: &mut Findings<'_>) -> Option<Settings> {
    let file = root.section_of(&KEYS, &LATER_KEYS, out);
    let trust_domain = file.require("trustDomain", out).and_then(|field| field.parsed(Code::BadValue, out));
    let domain = file.require("domain", out).and_then(|field| domain(&field, out));
    let data = file.require("data", out).and_then(|field| path(&field, folder, out));
    let listen = listen(&file, folder, out);
    let identity = file.require("identity", out).and_then(|field| identity(&field, folder, out));
    let default = file.section("policy", &["default"], out).get("default");
    let choices = [("deny", policy::Default::Deny), ("allow", policy::Default::Allow)];
    let default = default.and_then(|field| field.choice(&choices, out)).unwrap_or(policy::Default::Deny);
    let limits = limits(&file.section("limits", &LIMIT_KEYS, out), out);
    Some(Settings {
        trust_domain: trust_domain?,
        domain: domain?,
        data: data?,
        listen: listen?,
        identity: identity?,
        default,
        limits,
    })
}

/// A path, taken from the settings file's folder if it is relative.
fn path(field: &Field<'_>, folder: &Path, out: &mut Findings<'_>) -> Option<PathBuf> {
    let text = field.text(out)?;
    if text.is_empty() || text.contains('\0') {
        field.report(Code::BadValue, format!("`{}` must be a path", field.path()), out);
        return None;
    }
    Some(folder.join(text))
}

/// A DNS name of labels, in lower case.
fn domain(field: &Field<'_>, out: &mut Findings<'_>) -> Option<Box<str>> {
    let text = field.text(out)?.to_ascii_lowercase();
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        let hyphens = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && !hyphens && label.bytes().all(legal)
    };
    if text.len() > DOMAIN_BYTES || !text.split('.').all(label) || text.parse::<IpAddr>().is_ok() {
        let message =
            format!("`{}` must be a domain such as mesh.example, found `{}`", field.path(), text.escape_debug());
        field.report(Code::BadValue, message, out);
        return None;
    }
    Some(text.into())
}

fn listen(file: &Section<'_>, folder: &Path, out: &mut Findings<'_>) -> Option<Listen> {
    let section = file.section("listen", &LISTEN_KEYS, out);
    let noted = out.count();
    let mtls = if section.is_null("mtls") { None } else { Some(MTLS) };
    let address = |key: &str, out: &mut Findings<'_>| section.get(key).and_then(|field| address(&field, out));
    let mtls = address("mtls", out).or(mtls);
    let (tls, plain, admin_mtls) = (address("tls", out), address("plain", out), address("adminMtls", out));
    if let (Some(field), Some(plain)) = (section.get("plain"), plain)
        && !plain.ip().is_loopback()
    {
        let message = format!(
            "`listen.plain` has no TLS and so takes a loopback address only, such as 127.0.0.1:{}",
            plain.port()
        );
        field.report(Code::BadValue, message, out);
    }
    let taken = [("mtls", mtls), ("tls", tls), ("plain", plain), ("adminMtls", admin_mtls)];
    for (index, (key, address)) in taken.iter().enumerate() {
        let same = |(_, other): &&(&str, Option<SocketAddr>)| address.is_some() && other == address;
        if let Some((first, _)) = taken[..index].iter().find(same)
            && address.is_some_and(|address| address.port() != 0)
            && let Some(field) = section.get(key)
        {
            field.report(
                Code::BadValue,
                format!("`listen.{key}` is the address of `listen.{first}`: give them two"),
                out,
            );
        }
    }
    if mtls.is_none() && tls.is_none() && plain.is_none() && out.count() == noted {
        section.report(Code::MissingKey, "the node takes no calls: name `mtls`, `tls` or `plain`", out);
    }
    let admin = match section.get("admin") {
        Some(field) => socket(&field, folder, out),
        None => Some(PathBuf::from(ADMIN)),
    };
    Some(Listen { mtls, tls, plain, admin: admin?, admin_mtls })
}

fn address(field: &Field<'_>, out: &mut Findings<'_>) -> Option<SocketAddr> {
    let text = field.text(out)?;
    let read = text.parse().ok();
    if read.is_none() {
        let message = format!(
            "`{}` must be an address and a port such as 0.0.0.0:8443, found `{}`",
            field.path(),
            text.escape_debug()
        );
        field.report(Code::BadValue, message, out);
    }
    read
}

/// `unix:PATH`
fn socket(field: &Field<'_>, folder: &Path, out: &mut Findings<'_>) -> Option<PathBuf> {
    let text = field.text(out)?;
    let path = text.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.contains('\0'));
    let path = path.map(|path| folder.join(path)).filter(|path| path.as_os_str().len() < SOCKET_BYTES);
    if path.is_none() {
        let message = format!(
            "`{}` must be unix:PATH with a path of less than {SOCKET_BYTES} bytes, found `{}`",
            field.path(),
            text.escape_debug()
        );
        field.report(Code::BadValue, message, out);
    }
    path
}

fn identity(field: &Field<'_>, folder: &Path, out: &mut Findings<'_>) -> Option<IdentitySource> {
    let section = field.section(&IDENTITY_KEYS, out);
    let given: Vec<&str> = IDENTITY_KEYS.into_iter().filter(|key| section.get(key).is_some()).collect();
    match given.as_slice() {
        ["ca"] => section.get("ca").and_then(|field| path(&field, folder, out)).map(IdentitySource::Ca),
        ["workloadApi"] => {
            let field = section.get("workloadApi")?;
            let socket = field.text(out)?;
            let bare = socket.strip_prefix("unix://").or_else(|| socket.strip_prefix("unix:")).unwrap_or(socket);
            Some(IdentitySource::WorkloadApi(folder.join(bare)))
        }
        ["files"] => {
            let files = section.get("files")?.section(&FILE_KEYS, out);
            let required =
                |key: &str, out: &mut Findings<'_>| files.require(key, out).and_then(|field| path(&field, folder, out));
            let (cert, key, bundle) = (required("cert", out), required("key", out), required("bundle", out));
            let crl = files.get("crl").and_then(|field| path(&field, folder, out));
            Some(IdentitySource::Files { cert: cert?, key: key?, bundle: bundle?, crl })
        }
        _ => {
            if !section.is_absent() {
                let message = "`identity` must have exactly one of ca, files and workloadApi";
                section.report(Code::BadValue, message, out);
            }
            None
        }
    }
}

fn limits(section: &Section<'_>, out: &mut Findings<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        connections: section.number("connections", default.connections, 1..=default.connections, out),
        connections_per_source: section.number(
            "connectionsPerSource",
            default.connections_per_source,
            1..=default.connections,
            out,
        ),
        drain: section.duration("drain", DRAIN, Duration::from_secs(0)..=DRAIN_MAX, out).get(),
    }
}
