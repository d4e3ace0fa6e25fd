//! E-01 and E-02 by the hundred thousand: what is generated here is judged as a request is, by its canonical form and a
//! compiled policy, and held against readers who would place it elsewhere.
//!
//! What is counted: distinct texts, each put to [`judge_path`] or [`judge_host`] once. Every one that at least one reader
//! of [`super::oracle`] places at what is denied, be it in the text that came or in the one that we would forward, is an
//! attack; an attack that is neither refused (400, 404) nor denied by the policy (403) is a bypass, and there must be none.
//! Beside the attacks there must be honest ones that go through, or refusing everything would pass too.

use std::collections::HashSet;

use super::authority;
use super::oracle::{DENIED_HOSTS, HOST_READERS, READERS, Reader, is_denied};
use super::path::canonical_path;
use crate::path::call::Target;
use crate::path::caller::Caller;
use crate::path::fixture::{self, Dice};
use crate::path::outcome::Reason;
use crate::path::policy::{Decision, Default, Head, Question, decide};
use crate::path::routes::Names;
use crate::path::snapshot::Snapshot;
use weft_functions::policy::Verb;

/// Paths that are generated, beside the table of every octet.
const PATHS: usize = 100_000;
/// Hosts that are generated; E-02 asks for 5,000.
const HOSTS: usize = 20_000;

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// 400 or 404: it can be read in more than one way, or nobody answers there.
    Refused,
    /// 403: a policy forbids it.
    Denied,
    /// It would be forwarded, in this spelling.
    Forwarded(String),
}

/// How many of what was judged.
#[derive(Debug, Default)]
struct Count {
    attacks: usize,
    refused: usize,
    denied: usize,
    honest: usize,
    bypasses: Vec<String>,
}

impl Count {
    /// Counts one text; `lands` says of a spelling whether a reader places it at what is denied.
    fn add(&mut self, text: &str, judged: Judged, readers: &[Reader], lands: impl Fn(&str) -> bool) {
        let reader = |seen: &str| readers.iter().find(|(_, reader)| lands(&reader(seen))).map(|(name, _)| *name);
        let forwarded = match &judged {
            Judged::Forwarded(spelling) => reader(spelling),
            _ => None,
        };
        let attack = forwarded.or_else(|| reader(text));
        self.attacks += usize::from(attack.is_some());
        match judged {
            Judged::Refused => self.refused += 1,
            Judged::Denied => self.denied += 1,
            Judged::Forwarded(spelling) => match attack {
                Some(reader) => self.bypasses.push(format!("{reader} places {text:?}, forwarded as {spelling:?}")),
                None => self.honest += 1,
            },
        }
    }

    fn check(&self, all: usize, least: [usize; 4]) {
        assert!(self.bypasses.is_empty(), "{} bypasses: {:#?}", self.bypasses.len(), &self.bypasses[..1]);
        assert_eq!(self.refused + self.denied + self.honest, all, "each is counted once: {self:?}");
        let found = [self.attacks, self.refused, self.denied, self.honest];
        assert!(found.iter().zip(least).all(|(found, least)| *found >= least), "{found:?}, of each at least {least:?}");
    }
}

/// Everything is allowed, but for what lies at `/admin` of a function, and for the function `admin`.
fn snapshot() -> Snapshot {
    let policy = |name: &str, targets: &str, paths: &str| {
        format!(
            "---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec: {{ action: DENY, \
             targets: [ {{ function: {targets} }} ], rules: [ {{ to: [ {{ operation: {{ verbs: [ request ]{paths} }} }} ] }} ] }}\n"
        )
    };
    let documents = policy("paths", "site", ", paths: [ /admin, \"/admin/{**}\" ]") + &policy("admin", "admin", "");
    fixture::snapshot(1, Default::Allow, &documents)
}

/// Nothing is deployed, so what is allowed reads as not there: policy comes before existence.
fn decided(snapshot: &Snapshot, target: &Target, host: &str, path: &str) -> bool {
    let caller = Caller::nobody();
    let headers = http::HeaderMap::new();
    let head = Some(Head { host, method: "GET", path, headers: &headers });
    let verb = Verb::Request;
    let question =
        Question { verb, target, caller: &caller, head, event: None, trigger: None, copy: false, known: None };
    match decide(snapshot, question) {
        Decision::Denied(denied) if denied.failure.reason == Reason::AuthzDenyRule => false,
        Decision::Denied(denied) if denied.failure.reason == Reason::RouteNone => true,
        other => panic!("{host}{path}: {other:?}"),
    }
}

fn judge_path(snapshot: &Snapshot, site: &Target, path: &str) -> Judged {
    match canonical_path(path) {
        Err(_) => Judged::Refused,
        Ok(canonical) if decided(snapshot, site, "site.mesh.example", &canonical) => {
            Judged::Forwarded(canonical.into_owned())
        }
        Ok(_) => Judged::Denied,
    }
}

fn judge_host(snapshot: &Snapshot, names: &Names, host: &str) -> Judged {
    match authority::parse(host) {
        Err(_) => Judged::Refused,
        Ok(parsed) => match names.inbound(&parsed.host, "/").target {
            Target::Nowhere(_) => Judged::Refused,
            target if decided(snapshot, &target, &parsed.host, "/") => Judged::Forwarded(parsed.host.into()),
            _ => Judged::Denied,
        },
    }
}

/// What paths are made of: the hard ones, and the easy ones among which they hide.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "admin",
    "admin",
    "adm",
    "in",
    "Admin",
    "x",
    ".",
    "..",
    "%2e",
    "%2E",
    "%252e",
    "%25",
    "2e",
    "%2f",
    "%252F",
    "%5c",
    "\\",
    ";",
    ";x=y",
    "%3b",
    "%00",
    "%61",
    "%6D",
    "%2561",
    "%c0%ae",
    "%c0%af",
    "%ef%bc%8f",
    "%",
    "%4",
    "?",
    "#",
    "%23",
    "%3F",
    "%20",
    " ",
    "\t",
    "%09",
    "@",
    "%40",
    "é",
    "%c3%a9",
    "%25%32%65",
    "%u002e",
];
const EASY: &[&str] =
    &["/", "/", "/", "admin", "adm", "in", "x", "%61", "%6D", "%69", "a", "b", ".", "%20", "Admin", "-", "%7e"];

/// One made of pieces, or a known one that somebody has bent.
fn path(dice: &mut Dice) -> String {
    if dice.below(2) == 0 {
        return bent_path(dice);
    }
    let mut path = "/".to_owned();
    let easy = dice.below(2) == 0;
    for _ in 0..=dice.below(9) {
        match (easy, dice.below(10)) {
            (true, _) => path.push_str(dice.pick(EASY)),
            (false, 0) => path.push_str(&format!("%{:02x}", dice.below(256))),
            (false, 1) => path.push_str(&format!("%{:02X}", dice.below(256))),
            (false, 2) => path.extend(char::from_u32(dice.below(0x11_0000) as u32)),
            (false, _) => path.push_str(dice.pick(PIECES)),
        }
    }
    path
}

fn bent_path(dice: &mut Dice) -> String {
    let mut path = dice.pick(&["/admin", "/admin/", "/admin/users", "/x/../admin", "/public", "/x/y"]).to_owned();
    for _ in 0..=dice.below(3) {
        let at = path.char_indices().map(|(at, _)| at).nth(dice.below(path.chars().count())).unwrap_or(0);
        let there = path[at..].chars().next().unwrap_or('/');
        let with = match dice.below(6) {
            0 => format!("%{:02x}", there as u32 & 0xff),
            1 => format!("%{:02X}", there as u32 & 0xff),
            2 => format!("%25{:02x}", there as u32 & 0xff),
            3 => format!("{there}{}", dice.pick(PIECES)),
            4 => format!("{}{there}", dice.pick(PIECES)),
            _ => {
                format!("{there}{}", dice.pick(&["x/../", "./", "x/y/../../", "/", ";a=b", "%00", "a/%2e%2e/", ".\\"]))
            }
        };
        path.replace_range(at..at + there.len_utf8(), &with);
    }
    if path.starts_with('/') { path } else { format!("/{path}") }
}

#[test]
fn no_path_of_a_hundred_thousand_reaches_what_is_denied() {
    let (snapshot, site) = (snapshot(), Target::Function("default/site".parse().unwrap()));
    let (mut dice, mut seen, mut count) = (Dice::new(1), HashSet::new(), Count::default());
    while seen.len() < PATHS {
        let path = path(&mut dice);
        if seen.insert(path.clone()) {
            count.add(&path, judge_path(&snapshot, &site, &path), &READERS, is_denied);
        }
    }
    count.check(PATHS, [5_000, 20_000, 500, 10_000]);
}

/// E-01's table: every octet in four positions and three depths, before and within what is denied.
#[test]
fn no_octet_opens_a_way_to_what_is_denied() {
    let (snapshot, site) = (snapshot(), Target::Function("default/site".parse().unwrap()));
    let (mut seen, mut count) = (HashSet::new(), Count::default());
    for octet in 0..=255_u8 {
        for spelled in [format!("%{octet:02X}"), format!("%{octet:02x}"), format!("%25{octet:02x}")] {
            for depth in ["", "/x/..", "/x/y/%2e%2e/.."] {
                for position in ["{}admin", "adm{}in", "admin{}", "admin/{}", "{}/admin", "{}/../admin", "adm{}n"] {
                    let path = format!("{depth}/{}", position.replace("{}", &spelled));
                    if seen.insert(path.clone()) {
                        count.add(&path, judge_path(&snapshot, &site, &path), &READERS, is_denied);
                    }
                }
            }
        }
    }
    count.check(seen.len(), [3_060, 3_060, 100, 300]);
}

/// A host of the mesh that somebody has bent.
fn host(dice: &mut Dice) -> String {
    let mut host = dice.pick(&["admin.mesh.example", "admin.default.mesh.example", "public.mesh.example"]).to_string();
    for _ in 0..=dice.below(4) {
        let other = dice.pick(&["public.mesh.example", "admin.mesh.example", "evil.example", ""]);
        let mark =
            dice.pick(&["@", ",", ", ", "\0", "%00", "#", "?", "/", "\\", ";", " ", "\t", ":80@", ":", "%2f", "%40"]);
        let at = host.char_indices().map(|(at, _)| at).nth(dice.below(host.chars().count().max(1))).unwrap_or(0);
        let there = host[at..].chars().next().unwrap_or('a');
        let replaced = |with: String| format!("{}{with}{}", &host[..at], &host[at + there.len_utf8()..]);
        host = match dice.below(10) {
            0 => replaced(there.to_uppercase().to_string()),
            1 => host.to_uppercase(),
            2 => format!("{host}{}", dice.pick(&[".", "..", ":80", ":443", ":080", ":", ":80:80", ":65536", ".:80"])),
            3 => format!("{host}{mark}{other}"),
            4 => format!("{other}{mark}{host}"),
            5 if there.is_ascii() => replaced(format!("%{:02x}", there as u8)),
            6 if there.is_ascii_graphic() => replaced(char::from_u32(there as u32 + 0xfee0).into_iter().collect()),
            7 => host.replacen('.', dice.pick(&["\u{3002}", "\u{ff61}", "..", "%2e", "_", "-"]), 1),
            8 => format!("{}{}{}", &host[..at], dice.pick(&["\u{ad}", "\u{200b}", "\u{feff}", "_", "-"]), &host[at..]),
            _ => format!(
                "{}{host}{}",
                dice.pick(&["[", " ", "\t", "a.", "xn--", "user:pw@"]),
                dice.pick(&["]", " ", "\t", ""])
            ),
        };
    }
    host
}

#[test]
fn no_host_of_twenty_thousand_reaches_what_is_denied() {
    let (snapshot, names) = (snapshot(), Names { domain: "mesh.example".into(), ..fixture::names() });
    let (mut dice, mut seen, mut count) = (Dice::new(2), HashSet::new(), Count::default());
    while seen.len() < HOSTS {
        let host = host(&mut dice);
        if seen.insert(host.clone()) {
            let judged = judge_host(&snapshot, &names, &host);
            count.add(&host, judged, &HOST_READERS, |host| DENIED_HOSTS.contains(&host));
        }
    }
    count.check(HOSTS, [4_000, 10_000, 100, 100]);
}

/// A canonical path is canonical: whoever reads it by our rules again reads the same.
#[test]
fn canonical_paths_are_stable() {
    let mut dice = Dice::new(3);
    for _ in 0..PATHS / 4 {
        let path = path(&mut dice);
        if let Ok(canonical) = canonical_path(&path) {
            assert_eq!(canonical_path(&canonical).as_ref(), Ok(&canonical), "{path:?}");
        }
    }
}
