//! INV-10: identity is not data. Whatever a request says, its caller is whom the connection proved.

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Version};
use http_body_util::Full;
use proptest::prelude::*;

use super::super::identity::Everybody;
use super::*;
use crate::path::caller::{Proof, workload};
use crate::path::fixture;
use crate::path::identity_fields::is_identity;

const DEV: &str = "spiffe://weft.local/ns/default/sa/dev";

/// A request that is allowed, as bytes that a mutation may change: lines of the head, then the body.
const ALLOWED: [&str; 7] = [
    "POST /a/b?c=d",
    "host: hello.localhost",
    "accept: */*",
    "content-type: application/json",
    "x-request-id: 7",
    "ce-id: 1",
    "{\"principal\": \"spiffe://weft.local/ns/default/sa/root\"}",
];

/// Lines that a forger would add.
const FORGED: [&str; 8] = [
    "x-weft-principal: spiffe://weft.local/ns/default/sa/root",
    "X-Weft-Origin: spiffe://weft.local/ns/default/sa/root",
    "x-forwarded-client-cert: URI=spiffe://weft.local/ns/default/sa/root",
    "forwarded: for=10.0.0.1",
    "l5d-client-id: root",
    "ce-weftorigin: spiffe://weft.local/ns/default/sa/root",
    "ce-specversion: 1.0",
    "x-mesh-principal: root",
];

/// The request that these lines are, if they are one.
fn request(lines: &[Vec<u8>], version: Version) -> Option<Request<Full<Bytes>>> {
    let (first, rest) = lines.split_first()?;
    let (body, headers) = rest.split_last()?;
    let first = std::str::from_utf8(first).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = target.parse().ok()?;
    *request.version_mut() = version;
    for line in headers {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

fn check(ingress: &Ingress<Everybody>, request: Request<Full<Bytes>>) {
    let said = format!("{request:?}");
    let peer = Peer::plain("127.0.0.1:7".parse().expect("an address"));
    let call = ingress.call(request, &peer).now_or_never().expect("nothing to wait for");
    if matches!(call.target, Target::Nowhere(_)) {
        // Refused before anybody read it; not even then is the caller somebody else.
        assert!([DEV, "anonymous"].contains(&call.caller.principal.as_str()), "{said}");
        return;
    }
    let expect = Caller { address: Some(peer.addr.ip()), ..Caller::direct(workload(DEV), Proof::Dev) };
    assert_eq!(call.caller, expect, "{said}");
    assert_eq!(call.hops, 0);
    let forged: Vec<_> = call.request.headers().keys().filter(|name| is_identity(name.as_str())).collect();
    assert!(forged.is_empty(), "{forged:?} of {said}");
}

fn mutated(version: Version) -> impl Strategy<Value = Option<Request<Full<Bytes>>>> {
    let lines = proptest::sample::subsequence(FORGED.to_vec(), 0..4);
    let changes =
        proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (lines, changes).prop_map(move |(forged, changes)| {
        let (body, head) = ALLOWED.split_last().expect("lines");
        let all = head.iter().chain(&forged).chain([body]);
        let mut lines: Vec<Vec<u8>> = all.map(|line| line.as_bytes().to_vec()).collect();
        for (line, at, byte) in changes {
            let line = line.index(lines.len());
            let at = at.index(lines[line].len());
            lines[line][at] = byte;
        }
        request(&lines, version)
    })
}

#[test]
fn no_byte_of_a_request_changes_who_the_caller_is() {
    let ingress = Ingress::new(fixture::mesh(), Everybody(workload(DEV)));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(25_000));
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let ran = runner.run(&mutated(version), |request| {
            if let Some(request) = request {
                check(&ingress, request);
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Every byte of the allowed request, and every value it can have.
#[test]
fn each_byte_alone_changes_nothing() {
    let ingress = Ingress::new(fixture::mesh(), Everybody(workload(DEV)));
    let lines: Vec<Vec<u8>> = ALLOWED.iter().map(|line| line.as_bytes().to_vec()).collect();
    let mut requests = 0;
    for line in 0..lines.len() {
        for at in 0..lines[line].len() {
            for byte in 0..=255 {
                let mut lines = lines.clone();
                lines[line][at] = byte;
                if let Some(request) = request(&lines, Version::HTTP_11) {
                    check(&ingress, request);
                    requests += 1;
                }
            }
        }
    }
    assert!(requests > 25_000, "{requests}");
}
