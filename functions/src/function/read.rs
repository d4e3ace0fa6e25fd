//! Reads a Function's spec and notes every mistake in it.

use std::collections::BTreeMap;

use super::{AllowHost, Function, FunctionSpec, Isolation, Limits, Recycle, Scale};
use crate::manifest::{Code, Field, Findings, Location, Metadata, Place, Section};
use crate::value::{Duration, Size};

const KEYS: [&str; 7] = ["module", "env", "allowHosts", "scale", "limits", "isolation", "recycle"];
const SCALE_KEYS: [&str; 4] = ["min", "max", "idle", "queue"];
const RECYCLE_KEYS: [&str; 3] = ["calls", "age", "memory"];
const LIMITS_KEYS: [&str; 5] = ["memory", "cpu", "timeout", "idle", "stream"];

/// Environment variables of a guest, and the bytes of all names and values: the guest copies them at every start.
const ENV_ENTRIES: usize = 256;
const ENV_BYTES: usize = 64 * 1024;

/// Entries of `allowHosts`; each outgoing call looks at all of them.
const ALLOW_HOSTS: usize = 256;

/// Longest path of a module: Linux's `PATH_MAX`.
const MODULE_BYTES: usize = 4096;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Function {
    pub(crate) fn read(
        metadata: Metadata,
        location: Location,
        spec: &Field<'_>,
        out: &mut Findings<'_>,
    ) -> Option<Self> {
        let spec = spec.section(&KEYS, out);
        let module = spec.require("module", out).and_then(|field| read_module(&field, out));
        let env = spec.get("env").map(|field| read_env(&field, out)).unwrap_or_default();
        let allow_hosts = spec.get("allowHosts").map(|field| read_allow_hosts(&field, out)).unwrap_or_default();
        let scale = Scale::read(&spec.section("scale", &SCALE_KEYS, out), out);
        let limits = Limits::read(&spec.section("limits", &LIMITS_KEYS, out), out);
        let isolation = Isolation::read(&spec, out);
        let (module, module_place) = module?;
        let spec = FunctionSpec { module, env, allow_hosts, scale, limits, isolation };
        Some(Self { metadata, spec, location, module_place })
    }
}

impl Scale {
    fn read(scale: &Section<'_>, out: &mut Findings<'_>) -> Self {
        let default = Self::default();
        let read = Self {
            min: scale.number("min", default.min, 0..=1_000, out),
            max: scale.number("max", default.max, 1..=10_000, out),
            idle: scale.duration(
                "idle",
                default.idle,
                Duration::from_millis(10)..=Duration::from_secs(30 * 86_400),
                out,
            ),
            queue: scale.number("queue", default.queue, 0..=100_000, out),
        };
        if read.min > read.max {
            let message = format!("`min` ({}) is above `max` ({})", read.min, read.max);
            scale.report(Code::BadValue, message, out);
        }
        read
    }
}

impl Limits {
    fn read(limits: &Section<'_>, out: &mut Findings<'_>) -> Self {
        let default = Self::default();
        let memory = Size::from_mebibytes(1)..=Size::from_mebibytes(4096);
        Self {
            memory: limits.size("memory", default.memory, memory, out),
            cpu: limits.duration("cpu", default.cpu, MILLISECOND..=HOUR, out),
            timeout: limits.duration("timeout", default.timeout, MILLISECOND..=HOUR, out),
            idle: limits.duration("idle", default.idle, MILLISECOND..=HOUR, out),
            stream: limits.duration("stream", default.stream, MILLISECOND..=DAY, out),
        }
    }
}

impl Isolation {
    fn read(spec: &Section<'_>, out: &mut Findings<'_>) -> Self {
        let shared = spec.choice("isolation", &[("request", false), ("revision", true)], out);
        let recycle = spec.section("recycle", &RECYCLE_KEYS, out);
        if !shared {
            if !recycle.is_absent() {
                recycle.report(
                    Code::BadValue,
                    "`recycle` is for `isolation: revision`: other instances serve one call",
                    out,
                );
            }
            return Self::Request;
        }
        let default = Recycle::default();
        let memory = Size::from_bytes(64 << 10)..=Size::from_mebibytes(4096);
        Self::Revision(Recycle {
            calls: recycle.number("calls", default.calls, 1..=1_000_000, out),
            age: recycle.duration("age", default.age, Duration::from_secs(1)..=DAY, out),
            memory: recycle.size("memory", default.memory, memory, out),
        })
    }
}

fn read_module(field: &Field<'_>, out: &mut Findings<'_>) -> Option<(String, Place)> {
    let module = field.text(out)?;
    if module.starts_with("oci://") {
        let message = "modules from a registry are not supported in this version: give the path of a .wasm file";
        field.report(Code::Unsupported, message, out);
        return None;
    }
    let is_path = !module.is_empty() && module.len() <= MODULE_BYTES && !module.contains(char::is_control);
    if !is_path || module.contains("://") {
        let message = "`spec.module` must be the path of a .wasm file, relative to this manifest";
        field.report(Code::BadValue, message, out);
        return None;
    }
    Some((module.to_owned(), field.place(out)))
}

fn read_env(field: &Field<'_>, out: &mut Findings<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, name_at, field) in field.open_section(out) {
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_control()) {
            let message = format!("`{}` cannot be the name of an environment variable", name.escape_debug());
            out.report(name_at, field.path(), Code::BadValue, message);
        }
        let Some(value) = field.text(out) else { continue };
        if value.contains('\0') {
            field.report(Code::BadValue, format!("`{}` contains a zero byte", field.path()), out);
        }
        env.insert(name.to_owned(), value.to_owned());
    }
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if env.len() > ENV_ENTRIES || bytes > ENV_BYTES {
        let found = format!("found {} variables of {bytes} bytes", env.len());
        let message =
            format!("`spec.env` may have at most {ENV_ENTRIES} variables of {ENV_BYTES} bytes in all, {found}");
        field.report(Code::BadValue, message, out);
    }
    env
}

fn read_allow_hosts(field: &Field<'_>, out: &mut Findings<'_>) -> Vec<AllowHost> {
    let entries = field.at_most(ALLOW_HOSTS, out);
    entries.iter().filter_map(|entry| entry.parsed(Code::BadValue, out)).collect()
}
