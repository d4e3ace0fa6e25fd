//! Mistakes in what says who counts and what holds: namespaces and issuers.

use super::*;

#[test]
fn namespaces() {
    let namespace = |spec: &str| document(Kind::Namespace, spec);
    check(&namespace("{}"), &[]);
    check(&namespace("{}").replace("name: f", "name: f, namespace: f"), &[]);
    check(
        &namespace("{}").replace("name: f", "name: f, namespace: default"),
        &["3:33 bad_name metadata.namespace: a Namespace lives in itself: leave this out, or write `f`"],
    );
    check(
        &namespace(
            "{ default: audit, sourcePrefixes: [ /a*, 5 ], quotas: { functions: -1, instances: 2000000, publishBytesPerSecond: 1, cpu: 1 } }",
        ),
        &[
            "4:18 bad_value spec.default: `spec.default` must be deny or allow, found `audit`",
            "4:43 bad_value spec.sourcePrefixes[0]: `spec.sourcePrefixes[0]`: `/a*` is not the beginning of a source: it is a prefix already, leave out the star; expected /shop, https://shop.example/ or urn:shop",
            "4:48 wrong_type spec.sourcePrefixes[1]: `spec.sourcePrefixes[1]` must be text: quote it, found the number 5",
            "4:74 bad_value spec.quotas.functions: `spec.quotas.functions` must be from 0 to 100000",
            "4:89 bad_value spec.quotas.instances: `spec.quotas.instances` must be from 0 to 1000000",
            "4:121 bad_value spec.quotas.publishBytesPerSecond: `spec.quotas.publishBytesPerSecond` must be from 1Ki to 1Ti",
            "4:124 unknown_key spec.quotas.cpu: unknown key `cpu` in `spec.quotas`: expected one of functions, instances, publishBytesPerSecond",
        ],
    );
    check(
        &namespace("{ sourcePrefixes: [] }"),
        &[
            "4:25 bad_value spec.sourcePrefixes: `spec.sourcePrefixes` must not be empty: leave it out or name at least one",
        ],
    );
}

#[test]
fn issuers() {
    let issuer = |spec: &str| document(Kind::Issuer, spec);
    let uri = |uri: &str, expect: &[&str]| {
        let expect: Vec<String> = expect
            .iter()
            .map(|why| format!("4:47 bad_value spec.jwksUri: `spec.jwksUri` must be an https address: {why}"))
            .collect();
        let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
        check(&issuer(&format!("{{ issuer: a, audiences: [ b ], jwksUri: \"{uri}\" }}")), &expect);
    };
    uri("https://id.example/keys", &[]);
    let replaced =
        "keys that come over http can be replaced on their way; use https, or `allowPrivate: true` within one network";
    uri("http://127.0.0.1:8000/keys", &[replaced]);
    uri("http://id.example/keys", &[replaced]);
    uri("http://localhost/keys", &[replaced]);
    uri("http://10.0.0.1/keys", &[replaced]);
    uri("ftp://id.example/keys", &["it must begin with https://"]);
    uri("/keys", &["it must begin with https://"]);
    uri("https://u:p@id.example/keys", &["user and password do not belong into a manifest"]);
    uri("https://id.example/keys#a", &["leave out the fragment"]);
    check(&issuer("{ issuer: a, audiences: [ b ], jwksUri: 'http://id.example/keys', allowPrivate: true }"), &[]);
    check(&issuer("{ issuer: a, audiences: [ b ], jwks: { keys: [ { kty: OKP } ] } }"), &[]);
    check(&issuer(r#"{ issuer: a, audiences: [ b ], jwks: '{"keys":[{"kty":"OKP"}]}' }"#), &[]);
    check(
        &issuer("{}"),
        &[
            "4:7 missing_key spec.issuer: `issuer` is missing in `spec`",
            "4:7 missing_key spec.audiences: `audiences` is missing in `spec`",
            "4:7 missing_key spec: `jwks` or `jwksUri` is missing in `spec`",
        ],
    );
    check(
        &issuer(
            "{ issuer: 'SPIFFE://a', audiences: [], jwks: { keys: [] }, jwksUri: 'https://a', algorithms: [ HS256, none, RS256 ], fromHeaders: [ { name: a b }, { name: Host }, { name: x-weft-token }, { name: X-A, prefix: 'T ' }, { name: x-a, prefix: 'T ' }, {} ], passClaims: [ a_b, A-b, 'https://x/y' ] }",
        ),
        &[
            "4:17 bad_value spec.issuer: `spec.issuer` must not begin with spiffe: such an identity is proven by a certificate, never by a token",
            "4:42 bad_value spec.audiences: `spec.audiences` must not be empty: leave it out or name at least one",
            "4:75 bad_value spec.jwksUri: `jwks` and `jwksUri` are both given: keys come from one of them",
            "4:102 bad_value spec.algorithms[0]: `spec.algorithms[0]`: a shared secret proves nothing about who signed; use RS256, ES256 or EdDSA",
            "4:109 bad_value spec.algorithms[1]: `spec.algorithms[1]` must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA, found `none`",
            "4:147 bad_value spec.fromHeaders[0].name: `spec.fromHeaders[0].name`: `a b` is not the name of a header",
            "4:162 bad_value spec.fromHeaders[1].name: `spec.fromHeaders[1].name`: `Host` cannot carry a token: it belongs to the connection",
            "4:178 bad_value spec.fromHeaders[2].name: `spec.fromHeaders[2].name`: `x-weft-token` is removed from what arrives, since anybody could write it",
            "4:223 bad_value spec.fromHeaders[4]: `spec.fromHeaders[4]` is given twice",
            "4:252 missing_key spec.fromHeaders[5].name: `name` is missing in `spec.fromHeaders[5]`",
            "4:270 bad_value spec.passClaims: `spec.passClaims`: `A-b` would be in the same header as `a_b`",
            "4:270 bad_value spec.passClaims: `spec.passClaims`: `https://x/y` cannot be part of a header's name, where functions read it",
        ],
    );
    check(
        &issuer("{ issuer: 'https://*', audiences: [ \"a\\n\" ], jwks: { keys: [ { kty: oct, k: x } ] } }"),
        &[
            "4:17 bad_value spec.issuer: `spec.issuer` must be printable ASCII without spaces and stars, such as https://id.example",
            "4:43 bad_value spec.audiences[0]: `spec.audiences[0]` must have 1 to 512 bytes without control characters",
            "4:58 bad_value spec.jwks: `spec.jwks`: `keys[0]` has the member `k`, which is secret: name its public half only",
        ],
    );
}
