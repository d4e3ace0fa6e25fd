//! A request with identity: bare hyper and rustls, and beside them weft over mTLS with everything on: certificates, a token
//! that was seen before, 10 and 10,000 rules of policy, records; once answered right after the permit, which is what
//! identity, routing, policy and the record cost together, and once by a function.

use std::path::{Path, PathBuf};

use weft_tests::serve::DOMAIN;
use weft_tests::{Served, Site, manifest, modules};

use crate::measure::{ROUNDS, Sample, WARM_UP, median};
use crate::server::{self, Server};
use crate::table::{Row, Table};
use crate::tls;
use crate::wire::{Clients, Door};

/// Connections kept alive, each with one request at a time.
const CLIENTS: usize = 64;
/// Rules of the small and of the large mesh. One of them permits the call; the others are about others.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Rules of one policy; 256 is the most.
const RULES: usize = 250;
/// Policies that are applied at once: a file has at most 1 MiB.
const AT_ONCE: usize = 10;
/// Whose tokens count.
const ISSUER: &str = "https://id.example";
/// What the permit and the record may cost over bare hyper and rustls, in microseconds of processor time.
const GOAL_MICROS: f64 = 4.0;
/// What 10,000 rules may cost, to 10.
const GOAL_RULES: f64 = 1.2;

/// Functions on the same module: one with a fresh store for each call, one whose calls share stores.
const FUNCTIONS: [(&str, &str); 2] = [("hello", ""), ("shared", "isolation: revision")];

/// A node with its rules.
struct Mesh {
    site: Site,
    node: Served,
    token: String,
}

impl Mesh {
    async fn start(program: &Path, words: &[&str], rules: usize) -> Self {
        let site = Site::new().await;
        site.guest("hello");
        site.issue("bench").await;
        tls::make(&site.path(""), &host("hello"));
        let node = site.start_program(program, words, "identity: { ca: ca }").await;
        server::pin(node.pid());
        let (token, keys) = tls::token(ISSUER);
        let issuer = format!("issuer: '{ISSUER}', audiences: [ weft ], algorithms: [ EdDSA ], jwks: {keys}");
        let functions = FUNCTIONS.map(|(name, more)| manifest::function(name, "hello", more)).concat();
        node.apply(&(functions + &manifest::document("Issuer", "id", &issuer))).await;
        let policies = policies(rules);
        for some in policies.chunks(AT_ONCE) {
            node.apply(&some.concat()).await;
        }
        Self { site, node, token }
    }

    /// Clients of one of its functions, warmed up; with a token or without.
    async fn clients(&self, function: &str, token: bool) -> Clients {
        let more = if token { format!("authorization: Bearer {}\r\n", self.token) } else { String::new() };
        let host = host(function);
        crowd(tls::door(&self.site.path(""), "bench", self.node.mtls, &host), &host, &more).await
    }
}

fn host(function: &str) -> String {
    format!("{function}.{DOMAIN}")
}

async fn crowd(door: Door, host: &str, more: &str) -> Clients {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
    let ask = move |bytes: &mut Vec<u8>, _| bytes.extend_from_slice(request.as_bytes());
    let mut clients = Clients::connect(door, CLIENTS, ask, 200).await;
    clients.run(WARM_UP).await;
    clients
}

/// Policies for the functions with so many rules together; the last of them permits what is asked.
fn policies(rules: usize) -> Vec<String> {
    let rule = |at: usize| {
        let (who, path) =
            if at + 1 == rules { ("bench".to_owned(), "/".to_owned()) } else { (format!("c{at}"), format!("/a/{at}")) };
        format!(
            "{{ from: [ {{ source: {{ principals: [ \"spiffe://weft.local/ns/default/sa/{who}\" ] }} }} ], \
             to: [ {{ operation: {{ verbs: [ request ], methods: [ GET ], paths: [ {path} ] }} }} ] }}"
        )
    };
    let all: Vec<String> = (0..rules).map(rule).collect();
    let policy = |(at, rules): (usize, &[String])| {
        let spec = format!(
            "action: ALLOW, targets: [ {{ function: hello }}, {{ function: shared }} ], rules: [ {} ]",
            rules.join(", ")
        );
        manifest::policy(&format!("p{at}"), &spec)
    };
    all.chunks(RULES).enumerate().map(policy).collect()
}

/// The program that answers after the permit; `tests/bench` builds it and says where it is.
fn after_permit() -> PathBuf {
    std::env::var_os("WEFT_AFTER_PERMIT").expect("WEFT_AFTER_PERMIT: run tests/bench").into()
}

/// Measures.
pub(crate) async fn run() -> Table {
    let bare_site = Site::new().await;
    bare_site.issue("bench").await;
    let (folder, host) = (bare_site.path(""), host("hello"));
    tls::make(&folder, &host);
    let bare = Server::role(&["serve-hello-tls", folder.to_str().expect("a path in UTF-8")]);
    let (weft, permit) = (modules::weft(), after_permit());
    let [few, many] = [Mesh::start(&permit, &[], FEW).await, Mesh::start(&permit, &[], MANY).await];
    let [hello, hello_many] = [Mesh::start(&weft, &[], FEW).await, Mesh::start(&weft, &[], MANY).await];
    let logged = Mesh::start(&weft, &["--access-log"], FEW).await;

    let bare_door = tls::door(&folder, "bench", bare.addr, &host);
    let mut contenders = vec![(Row::baseline("bare hyper + rustls"), crowd(bare_door, &host, "").await, bare.pid())];
    for (name, mesh, function, token) in [
        ("permit, 10 rules", &few, "hello", false),
        ("permit, 10,000 rules", &many, "hello", false),
        ("permit, token, 10 rules", &few, "hello", true),
        ("permit, token, 10,000 rules", &many, "hello", true),
        ("function, 10 rules", &hello, "hello", false),
        ("function, 10,000 rules", &hello_many, "hello", false),
        ("function, token, 10 rules", &hello, "hello", true),
        ("function, token, 10,000 rules", &hello_many, "hello", true),
        ("function, access log", &logged, "hello", false),
        ("shared, 10 rules", &hello, "shared", false),
        ("shared, access log", &logged, "shared", false),
    ] {
        contenders.push((Row::ours(name), mesh.clients(function, token).await, mesh.node.pid()));
    }
    for _ in 0..ROUNDS {
        for (row, clients, pid) in &mut contenders {
            row.samples.push(Sample::round(clients, *pid).await);
        }
    }
    let rows: Vec<Row> = contenders.into_iter().map(|(row, ..)| row).collect();
    let notes = notes(&rows);
    Table { title: "request over mTLS", unit: "requests", rows, notes }
}

fn notes(rows: &[Row]) -> Vec<String> {
    let cpu: Vec<f64> = rows.iter().map(|row| median(&row.samples).cpu).collect();
    let &[bare, permit, permit_many, token, token_many, ..] = cpu.as_slice() else { return Vec::new() };
    vec![
        format!(
            "{CLIENTS} connections, TLS 1.3, clients' certificates required; permit: answered right after it, without a \
             function."
        ),
        format!(
            "Identity, routing, policy and record: {:.1} us over bare hyper + rustls, {:.1} us with a token (goal: at most \
             {GOAL_MICROS:.1}).",
            permit - bare,
            token - bare
        ),
        format!(
            "10,000 rules: {:.2} of 10 rules, {:.2} with a token (goal: at most {GOAL_RULES:.1}).",
            permit_many / permit,
            token_many / token
        ),
    ]
}
