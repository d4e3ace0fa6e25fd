//! Values that are several, or of a kind that no rule can compare: headers (`threats.md` E-03) and claims.

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use weft_functions::policy::{ConditionKey, Match, StringMatch, Verb};

use super::given::*;
use crate::path::policy::OwnedQuestion;

fn with_headers(values: &[&[u8]]) -> OwnedQuestion {
    let mut question = question(Verb::Request);
    let headers = &mut question.head.as_mut().expect("a head").headers;
    for value in values {
        headers.append(HeaderName::from_static("x-role"), HeaderValue::from_bytes(value).expect("a value"));
    }
    question
}

#[test]
fn a_header_rule_looks_at_every_value_and_every_member() {
    let rule = |matches| when(ConditionKey::Header("x-role".into()), matches);
    let check = |matches: Match<StringMatch>, values: &[&[u8]], (allows, denies): (bool, bool)| {
        let got = verdicts(&rule(matches.clone()), &with_headers(values));
        let shown: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
        assert_eq!(got, (allows, denies), "{matches:?} {shown:?}");
    };
    // What an ALLOW lets pass, a DENY of the same catches; what is of two minds is not allowed, and denied.
    let admin = || any_of(&["admin"]);
    check(admin(), &[b"admin"], (true, true));
    check(admin(), &[b"admin", b"admin"], (true, true));
    check(admin(), &[b"admin, admin"], (true, true));
    check(admin(), &[b"guest"], (false, false));
    check(admin(), &[], (false, false));
    check(admin(), &[b"Admin"], (false, false));
    check(admin(), &[b"admin", b"guest"], (false, true));
    check(admin(), &[b"guest", b"admin"], (false, true));
    check(admin(), &[b"guest,admin"], (false, true));
    check(admin(), &[b"admin ,guest"], (false, true));
    check(admin(), &[b"x", b"a, b ,admin"], (false, true));
    check(admin(), &[b""], (false, false));
    check(admin(), &[b"admin,"], (false, true));
    // A value with commas can be named as a whole; a prefix of one is not all that its members are.
    check(any_of(&["a, b"]), &[b"a, b"], (true, true));
    check(any_of(&["read*"]), &[b"reader"], (true, true));
    check(any_of(&["read*"]), &[b"reader, admin"], (false, true));
    check(any_of(&["*.example"]), &[b"evil, a.example"], (false, true));
    check(any_of(&["*"]), &[b"anything, at all"], (true, true));
    check(any_of(&["*"]), &[b""], (false, false));
    let not_guest = || none_of(&["guest"]);
    check(not_guest(), &[b"admin"], (true, true));
    check(not_guest(), &[], (true, true));
    check(not_guest(), &[b"guest"], (false, false));
    check(not_guest(), &[b"admin", b"guest"], (false, true));
    check(not_guest(), &[b"admin,guest"], (false, true));
    check(not_guest(), &[b"guest,guest"], (false, false));
}

#[test]
fn a_header_that_is_not_visible_ascii_satisfies_no_allow_and_escapes_no_deny() {
    for matches in [any_of(&["admin"]), any_of(&["*"]), none_of(&["guest"]), none_of(&["*"])] {
        for values in
            [&[b"adm\xefn".as_slice()] as &[&[u8]], &[b"admin", b"\xff"], &[b"\x80", b"admin"], &["ädmin".as_bytes()]]
        {
            let rule = when(ConditionKey::Header("x-role".into()), matches.clone());
            assert_eq!(verdicts(&rule, &with_headers(values)), (false, true), "{matches:?} {values:?}");
        }
    }
}

#[test]
fn a_claim_is_a_string_or_a_list_of_strings() {
    let key = |path: &[&str]| ConditionKey::AuthClaim(path.iter().map(|key| (*key).to_owned()).collect());
    let check = |path: &[&str], claims: Value, (allows, denies): (bool, bool)| {
        let got = verdicts(&when(key(path), any_of(&["clerk"])), &with_claims(question(Verb::Request), claims.clone()));
        assert_eq!(got, (allows, denies), "{path:?} {claims}");
    };
    check(&["role"], json!({ "role": "clerk" }), (true, true));
    check(&["role"], json!({ "role": ["chief", "clerk"] }), (true, true));
    check(&["role"], json!({ "role": ["chief"] }), (false, false));
    check(&["role"], json!({ "role": [] }), (false, false));
    check(&["role"], json!({ "role": "chief clerk" }), (false, false));
    check(&["role"], json!({}), (false, false));
    check(&["a", "b"], json!({ "a": { "b": "clerk" } }), (true, true));
    check(&["a", "b"], json!({ "a": { "c": "clerk" } }), (false, false));
    check(&["a.b"], json!({ "a": { "b": "clerk" }, "a.b": "chief" }), (false, false));
    // What is of another type cannot be judged.
    for odd in
        [json!(7), json!(true), json!(null), json!({ "clerk": "clerk" }), json!(["clerk", 7]), json!([["clerk"]])]
    {
        check(&["role"], json!({ "role": odd }), (false, true));
    }
    check(&["a", "b"], json!({ "a": "clerk" }), (false, true));
    let not_banned = when(key(&["banned"]), none_of(&["yes"]));
    assert_eq!(verdicts(&not_banned, &with_claims(question(Verb::Request), json!({}))), (true, true));
    assert_eq!(
        verdicts(&not_banned, &with_claims(question(Verb::Request), json!({ "banned": "yes" }))),
        (false, false)
    );
    // Whoever leaves the token at home is not taken for somebody who is not banned.
    assert_eq!(verdicts(&not_banned, &question(Verb::Request)), (false, true));
}
