//! Tables of settings files: what is read, and each mistake with its line.

use super::*;

const WHOLE: &str = "\
trustDomain: weft.local
domain: Mesh.example
data: data
listen: { mtls: \"0.0.0.0:9443\", tls: \"[::]:9444\", plain: \"127.0.0.1:9080\", admin: \"unix:admin.sock\", adminMtls: \"10.0.0.1:9445\" }
identity: { files: { cert: a.crt, key: /k/a.key, bundle: b.pem, crl: c.crl } }
policy: { default: allow }
limits: { connections: 100, connectionsPerSource: 10, drain: 5s }
";

fn read(text: &str) -> Result<Settings, Vec<String>> {
    let problems = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    parse(&SourceFile::new("weft.yaml", text), Path::new("/etc/weft")).map_err(problems)
}

#[test]
fn everything_that_may_be_said() {
    let expect = Settings {
        trust_domain: "weft.local".parse().unwrap(),
        domain: "mesh.example".into(),
        data: "/etc/weft/data".into(),
        listen: Listen {
            mtls: Some("0.0.0.0:9443".parse().unwrap()),
            tls: Some("[::]:9444".parse().unwrap()),
            plain: Some("127.0.0.1:9080".parse().unwrap()),
            admin: "/etc/weft/admin.sock".into(),
            admin_mtls: Some("10.0.0.1:9445".parse().unwrap()),
        },
        identity: IdentitySource::Files {
            cert: "/etc/weft/a.crt".into(),
            key: "/k/a.key".into(),
            bundle: "/etc/weft/b.pem".into(),
            crl: Some("/etc/weft/c.crl".into()),
        },
        default: policy::Default::Allow,
        limits: Limits { connections: 100, connections_per_source: 10, drain: Duration::from_secs(5) },
    };
    assert_eq!(read(WHOLE).unwrap(), expect);
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let least = "trustDomain: td\ndomain: d\ndata: /d\nidentity: { ca: /ca }\n";
    let settings = read(least).unwrap();
    let listen = Listen {
        mtls: Some("0.0.0.0:8443".parse().unwrap()),
        tls: None,
        plain: None,
        admin: "/run/weft/admin.sock".into(),
        admin_mtls: None,
    };
    assert_eq!(settings.listen, listen);
    assert_eq!(settings.identity, IdentitySource::Ca("/ca".into()));
    assert_eq!((settings.default, settings.limits), (policy::Default::Deny, Limits::default()));
    let spelt = "trustDomain: td\ndomain: d\ndata: /d\nlisten: { mtls: null, plain: \"127.0.0.1:0\", tls: null }\nidentity: { workloadApi: \"unix:///run/spire.sock\" }\n";
    let settings = read(spelt).unwrap();
    assert_eq!((settings.listen.mtls, settings.listen.tls), (None, None));
    assert_eq!(settings.identity, IdentitySource::WorkloadApi("/run/spire.sock".into()));
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let check = |from: &str, to: &str, expect: &str| {
        assert!(WHOLE.contains(from), "{from}");
        let problems = read(&WHOLE.replacen(from, to, 1)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(expect)), "{to}: {problems:?}");
    };
    check("trustDomain: weft.local", "trustDomain: Weft.Local", "weft.yaml:1:14: `trustDomain`: ");
    check("trustDomain: weft.local\n", "", "`trustDomain` is missing");
    check("domain: Mesh.example", "domain: 10.0.0.1", "weft.yaml:2:9: `domain` must be a domain such as mesh.example");
    check("domain: Mesh.example", "domain: a..b", "must be a domain");
    check("0.0.0.0:9443", "9443", "weft.yaml:4:17: `listen.mtls` must be an address and a port");
    check("127.0.0.1:9080", "0.0.0.0:9080", "takes a loopback address only, such as 127.0.0.1:9080");
    check("[::]:9444", "0.0.0.0:9443", "`listen.tls` is the address of `listen.mtls`");
    check("unix:admin.sock", "admin.sock", "`listen.admin` must be unix:PATH");
    check("cert: a.crt, ", "", "`cert` is missing in `identity.files`");
    check("identity: { files:", "identity: { ca: /ca, files:", "exactly one of ca, files and workloadApi");
    check("default: allow", "default: audit", "weft.yaml:6:20: `policy.default` must be deny or allow, found `audit`");
    check("connections: 100", "connections: 100000", "`limits.connections` must be from 1 to 10000");
    check("connections: 100", "conections: 100", "unknown key `conections` in `limits`: did you mean `connections`?");
    check("policy: {", "nats: { url: \"nats://x\" }\npolicy: {", "`nats` is not supported in this version");
    let none = WHOLE.replace("mtls: \"0.0.0.0:9443\", tls: \"[::]:9444\", plain: \"127.0.0.1:9080\"", "mtls: null");
    assert!(read(&none).unwrap_err()[0].contains("the node takes no calls"));
    let two = read("trustDomain: UP\ndomain: d\ndata: 3\n").unwrap_err();
    assert_eq!(two.len(), 3, "{two:?}");
    assert!(read("").unwrap_err()[0].contains("expected one document of settings"));
    assert!(read("trustDomain: td\n---\ntrustDomain: td\n").is_err());
}

#[test]
fn a_settings_file_is_told_from_a_manifest() {
    assert!(is_settings(WHOLE));
    assert!(!is_settings("apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: { name: a }\n"));
    assert!(!is_settings("# trustDomain:\n"));
}
