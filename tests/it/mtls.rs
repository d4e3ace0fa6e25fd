//! `weft serve` seen by strangers: openssl, curl and Python's own TLS prove themselves by certificate or get an alert;
//! certificates rotate and are revoked while clients talk; operators administer by socket and by certificate.

mod client;
mod rotation;

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use weft_tests::child::Process;
use weft_tests::cli::{Run, finish};
use weft_tests::serve::DOMAIN;
use weft_tests::{Served, Site, eventually, manifest};

const CLERK: &str = "spiffe://weft.local/ns/default/sa/clerk";

/// What curl answers when TLS ends in an alert: the handshake failed, or it broke off while receiving.
const CURL_ALERTED: [i32; 2] = [35, 56];

/// A site with a node that runs the guest `echo`, which the clerk may call and nobody else.
async fn shop() -> (Site, Served) {
    let site = Site::new().await;
    site.guest("echo");
    site.issue("clerk").await;
    site.issue("thief").await;
    let node = site.start("").await;
    node.apply(&app()).await;
    (site, node)
}

fn app() -> String {
    let rule = format!("{{ from: [ {{ source: {{ principals: [ \"{CLERK}\" ] }} }} ] }}");
    let spec = format!("action: ALLOW, targets: [ {{ function: echo }} ], rules: [ {rule} ]");
    manifest::function("echo", "echo", "") + &manifest::policy("clerk-calls-echo", &spec)
}

/// Asks for `echo` with curl as somebody.
async fn curl(node: &Served, who: Option<&str>, words: &[&str]) -> Run {
    let mut command = node.curl(node.mtls);
    if let Some(who) = who {
        command.args(["--cert", &format!("{who}.crt"), "--key", &format!("{who}.key")]);
    }
    command.args(words).arg(format!("https://echo.{DOMAIN}:{}/a", node.mtls.port()));
    finish(command, b"").await
}

#[tokio::test]
async fn curl_is_who_its_certificate_says() {
    let (_site, node) = shop().await;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&node, Some("clerk"), &[version]).await.ok().json();
        assert_eq!((&answer["principal"], &answer["path"]), (&CLERK.into(), &"/a".into()), "{version}");
        // Whatever a client claims, it is who it is.
        let forged =
            ["-H", "x-weft-principal: spiffe://weft.local/ns/default/sa/admin", "-H", "x-forwarded-client-cert: a"];
        let answer = curl(&node, Some("clerk"), &[&[version][..], &forged].concat()).await.ok().json();
        assert_eq!(answer["principal"], CLERK, "{version}");
        assert!(!answer.to_string().contains("sa/admin"), "{version}: {answer}");
        let refused = curl(&node, Some("thief"), &[version, "-w", "%{http_code}"]).await.ok().stdout;
        assert!(refused.contains("AUTHZ_DENIED") && refused.ends_with("403"), "{version}: {refused}");
        let elsewhere = ["-H", "host: other.mesh.example", "-w", "%{http_code}"];
        let answer = curl(&node, Some("clerk"), &[&[version][..], &elsewhere].concat()).await.ok().stdout;
        assert!(answer.contains("REQUEST_MISDIRECTED") && answer.ends_with("421"), "{version}: {answer}");
    }
    node.stop().await;
}

#[tokio::test]
async fn whoever_proves_nothing_gets_an_alert_and_not_a_byte() {
    let (site, node) = shop().await;
    let stranger = Site::new().await;
    stranger.issue("clerk").await;
    for (from, to) in [("clerk.crt", "stranger.crt"), ("clerk.key", "stranger.key")] {
        std::fs::copy(stranger.path(from), site.path(to)).expect("a copy");
    }
    for (who, version, why) in [
        (None, "--http1.1", "peer sent no certificates"),
        (None, "--http2", "peer sent no certificates"),
        (Some("stranger"), "--http1.1", "UnknownIssuer"),
        (Some("stranger"), "--http2", "UnknownIssuer"),
    ] {
        let run = curl(&node, who, &[version, "-i"]).await;
        assert!(CURL_ALERTED.contains(&run.code), "{who:?} {version}: {run:?}");
        assert_eq!(run.stdout, "", "{who:?} {version}");
        assert!(run.stderr.contains("alert"), "{who:?} {version}: {run:?}");
        eventually("the reason in the log", async || node.log().contains(why).then_some(())).await;
    }
    let old = curl(&node, Some("clerk"), &["--tls-max", "1.2"]).await;
    assert!(old.code != 0 && old.stdout.is_empty(), "{old:?}");
    let mut plain = node.curl(node.mtls);
    plain.args(["--http0.9", &format!("http://echo.{DOMAIN}:{}/a", node.mtls.port())]);
    let plain = finish(plain, b"").await;
    assert!(!plain.stdout.contains("HTTP") && !plain.stdout.contains("principal"), "{plain:?}");
    assert!(!node.log().contains("-----BEGIN"), "no certificate in the log");
}

#[tokio::test]
async fn openssl_shakes_hands_and_asks() {
    let (_site, node) = shop().await;
    let mut command = tokio::process::Command::new("openssl");
    command.current_dir(node.folder()).args(["s_client", "-quiet", "-verify_return_error", "-servername"]);
    command.arg(format!("echo.{DOMAIN}")).arg("-connect").arg(node.mtls.to_string());
    command.args(["-verify_hostname", &format!("echo.{DOMAIN}")]);
    command.args(["-CAfile", "ca/bundle.pem", "-cert", "clerk.crt", "-key", "clerk.key", "-alpn", "http/1.1"]);
    let request = format!("GET /b HTTP/1.1\r\nhost: echo.{DOMAIN}\r\nconnection: close\r\n\r\n");
    let run = finish(command, request.as_bytes()).await;
    assert!(run.stdout.starts_with("HTTP/1.1 200") && run.stdout.contains(CLERK), "{run:?}");
}

#[tokio::test]
async fn pythons_own_tls_keeps_a_connection_until_it_is_revoked() {
    let (site, node) = shop().await;
    let script = weft_tests::modules::root().join("tests/it/mtls/hold.py");
    let mut command = std::process::Command::new("python3");
    command.arg(script).arg(node.mtls.port().to_string()).arg(format!("echo.{DOMAIN}")).current_dir(node.folder());
    command.args(["ca/bundle.pem", "clerk.crt", "clerk.key"]).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut python = Process::spawn(command);
    let answers = |python: &Process| python.stdout.text().matches(CLERK).count();
    eventually("some answers on one connection", async || {
        assert_eq!(python.ended(), None, "{}", python.stderr.text());
        (answers(&python) >= 5).then_some(())
    })
    .await;
    let begun = Instant::now();
    site.weft(&["ca", "revoke", "clerk.crt", "--dir", "ca"]).await.ok();
    eventually("the connection is cut", async || python.ended()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "cut after {:?}", begun.elapsed());
    assert!(python.stdout.text().ends_with("cut\n"), "{}{}", python.stdout.text(), python.stderr.text());
    // A new handshake is refused too, and others go on.
    let run = curl(&node, Some("clerk"), &[]).await;
    assert!(CURL_ALERTED.contains(&run.code) && run.stdout.is_empty(), "{run:?}");
    curl(&node, Some("thief"), &[]).await.ok();
}

#[tokio::test]
async fn without_a_certificate_there_is_the_other_listener_and_nobody_on_it() {
    let (_site, node) = shop().await;
    for (addr, scheme) in [(node.tls, "https"), (node.plain, "http")] {
        let mut command = node.curl(addr);
        command.args(["-w", "%{http_code}"]).arg(format!("{scheme}://echo.{DOMAIN}:{}/", addr.port()));
        let answer = finish(command, b"").await.ok().stdout;
        assert!(answer.contains("AUTHZ_DENIED") && answer.ends_with("403"), "{scheme}: {answer}");
    }
}

#[tokio::test]
async fn the_command_line_proves_itself() {
    let (_site, node) = shop().await;
    let proof = ["--cert", "clerk.crt", "--key", "clerk.key"];
    let invoke = |words: &[&'static str]| [&["invoke", "echo", "/c"][..], words].concat();
    // The node's own admin API names the authorities, unless they are given.
    for bundle in [&[][..], &["--bundle", "ca/bundle.pem"]] {
        let answer = node.weft(&[&invoke(&proof)[..], bundle].concat()).await.ok().json();
        assert_eq!(answer["principal"], CLERK);
    }
    let refused = node.weft(&invoke(&["--cert", "thief.crt", "--key", "thief.key"])).await;
    assert!(refused.code == 1 && refused.stderr.contains("AUTHZ_DENIED"), "{refused:?}");
    let anonymous = node.weft(&invoke(&[])).await;
    assert!(anonymous.code == 1 && anonymous.stderr.contains("AUTHZ_DENIED"), "{anonymous:?}");
    let half = node.weft(&invoke(&["--cert", "clerk.crt"])).await;
    assert!(half.code == 2 && half.stderr.contains("--cert and --key go together"), "{half:?}");
    let node_says: Value = {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-fsS", "--unix-socket"]).arg(node.folder().join("admin.sock"));
        finish(
            {
                command.arg("http://localhost/api/v1/node");
                command
            },
            b"",
        )
        .await
        .ok()
        .json()
    };
    assert_eq!((&node_says["mode"], &node_says["mtls"]), (&"serve".into(), &node.mtls.to_string().into()));
}

#[tokio::test]
async fn the_admin_api_over_tls_wants_a_certificate() {
    let (_site, node) = shop().await;
    let ask = async |proof: &[&str]| {
        let mut command = node.curl(node.admin_mtls);
        command.args(proof).arg("--resolve").arg(format!("{DOMAIN}:{}:127.0.0.1", node.admin_mtls.port()));
        command.arg(format!("https://{DOMAIN}:{}/healthz", node.admin_mtls.port()));
        finish(command, b"").await
    };
    assert_eq!(ask(&["--cert", "clerk.crt", "--key", "clerk.key"]).await.ok().stdout, "ok");
    let nobody = ask(&[]).await;
    assert!(CURL_ALERTED.contains(&nobody.code) && nobody.stdout.is_empty(), "{nobody:?}");
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_restart() {
    let (site, node) = shop().await;
    curl(&node, Some("clerk"), &[]).await.ok();
    node.stop().await;
    assert!(!site.path("admin.sock").exists(), "the socket goes with the node");
    let node = site.start("").await;
    assert_eq!(curl(&node, Some("clerk"), &[]).await.ok().json()["principal"], CLERK);
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why() {
    let site = Site::new().await;
    let file = |more: &str| {
        format!(
            "trustDomain: weft.local\ndomain: mesh.example\ndata: data\nlisten: {{ mtls: \"127.0.0.1:0\", admin: \"unix:a.sock\" }}\n{more}"
        )
    };
    for (text, code, expect) in [
        (file("identity: { ca: none }\n"), 1, "weft ca init"),
        (file("identity: { files: { cert: a, key: b, bundle: c } }\n"), 1, "cannot read"),
        (file("identity: { workloadApi: \"unix:none.sock\" }\n"), 1, "the Workload API"),
        (file("identity: { ca: ca }\nunknown: 1\nnats: { url: \"nats://x\" }\n"), 1, "node.yaml:"),
    ] {
        site.write("node.yaml", &text);
        let run = site.weft(&["serve", "--config", "node.yaml"]).await;
        assert!(run.code == code && run.stderr.contains(expect), "{text}: {run:?}");
    }
    let run = site.weft(&["serve", "--config", "none.yaml"]).await;
    assert!(run.code == 2 && run.stderr.contains("cannot read none.yaml"), "{run:?}");
}
