//! What the path needs of token verification: a trait, because the path must not know the edge, and what a verified
//! token does to a caller. Tokens are looked at only once it is known what a call is for, since which Issuers count
//! depends on the target's namespace.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName};
use weft_functions::issuer::IssuerSpec;
use weft_functions::manifest::SYSTEM_NAMESPACE;
use weft_functions::value::Name;

use super::call::Target;
use super::caller::{Caller, Proof, Token};
use super::outcome::{Failure, Reason};
use super::snapshot::Snapshot;

/// Verifies the tokens that requests carry.
pub trait Tokens: Send + Sync + 'static {
    /// Verifies the token that `headers` carry for a target in `namespace`, by the Issuers that count there. A request
    /// without one is [`Verification::Done`] with nothing, and so is every request where no Issuer counts.
    fn verify(&self, namespace: &Name, headers: &HeaderMap) -> Verification;
}

/// A verification: done, unless keys must be fetched first.
pub enum Verification {
    /// What it came to, without having waited for anything.
    Done(Result<Option<Shown>, Failure>),
    /// It goes on when keys have come, or a limit on waiting for them is reached.
    Waiting(BoxFuture<'static, Result<Option<Shown>, Failure>>),
}

/// A verified token and where it was found.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What it says.
    pub token: Arc<Token>,
    /// The header that carried it. It was meant for the mesh and goes no further.
    pub header: HeaderName,
}

/// Verifies the token beside a call to `target`, takes it out of `headers`, and puts what it says beside the caller.
///
/// # Errors
/// The token is bad, or cannot be judged now.
pub async fn admit(
    tokens: &dyn Tokens,
    target: &Target,
    headers: &mut HeaderMap,
    caller: &mut Caller,
) -> Result<(), Failure> {
    // What is nowhere has its answer already; what leaves the mesh carries tokens that are not for us.
    let (Target::Function(name) | Target::Topic(name)) = target else { return Ok(()) };
    let verified = match tokens.verify(&name.namespace, headers) {
        Verification::Done(result) => result,
        Verification::Waiting(waiting) => waiting.await,
    };
    if let Some(shown) = verified? {
        headers.remove(shown.header);
        caller.show(shown.token);
    }
    Ok(())
}

/// Why a caller is not who it was found to be: the snapshot has no Issuer any more that vouches for its token. A
/// publisher whom an envelope names is another matter; its token was judged when the event was admitted.
pub fn withdrawn(snapshot: &Snapshot, caller: &Caller) -> Option<Failure> {
    let token = caller.token.as_deref().filter(|_| caller.how != Proof::Event)?;
    let namespace = token.subject.scope.as_ref().map_or(SYSTEM_NAMESPACE, Name::as_str);
    let stands = snapshot.issuers_of(namespace).iter().any(|issuer| vouches(&issuer.spec, token));
    (!stands).then(|| Failure::hidden(Reason::AuthnInvalid, "no Issuer vouches for the caller's token any more"))
}

fn vouches(issuer: &IssuerSpec, token: &Token) -> bool {
    let subject = token.subject.text.strip_prefix(&*issuer.issuer);
    subject.is_some_and(|rest| rest.starts_with('/'))
        && token.audiences.iter().any(|audience| issuer.audiences.iter().any(|ours| **ours == **audience))
}

#[cfg(test)]
mod tests {
    use weft_functions::manifest::{Resource, SourceFile, parse};

    use serde_json::Map;

    use super::super::caller::{Principal, Subject, workload};
    use super::super::policy::{Default as Verdict, PolicyIndex};
    use super::*;

    /// Takes the header `x-token` and believes `good`.
    struct Gullible;

    impl Tokens for Gullible {
        fn verify(&self, _: &Name, headers: &HeaderMap) -> Verification {
            let Some(value) = headers.get("x-token") else { return Verification::Done(Ok(None)) };
            if value != "good" {
                return Verification::Done(Err(Failure::hidden(Reason::AuthnInvalid, "not good")));
            }
            let shown = Shown { token: token(), header: HeaderName::from_static("x-token") };
            Verification::Waiting(Box::pin(async { Ok(Some(shown)) }))
        }
    }

    fn subject() -> Subject {
        Subject { text: "https://id.example/ann".into(), scope: None }
    }

    fn token() -> Arc<Token> {
        let (audiences, pass) = (Vec::new(), Vec::new());
        Arc::new(Token { subject: subject(), audiences, presenter: None, claims: Map::new(), pass, expires: 0 })
    }

    async fn admitted(target: Target, value: Option<&'static str>, caller: &mut Caller) -> (bool, HeaderMap) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.append("x-token", http::HeaderValue::from_static(value));
        }
        headers.append("x-other", http::HeaderValue::from_static("kept"));
        let admitted = admit(&Gullible, &target, &mut headers, caller).await.is_ok();
        assert!(headers.contains_key("x-other"));
        (admitted, headers)
    }

    fn function() -> Target {
        Target::Function("default/hello".parse().expect("a name"))
    }

    #[tokio::test]
    async fn a_token_alone_is_the_principal_and_beside_a_certificate_it_is_not() {
        let id = || workload("spiffe://weft.local/ns/default/sa/shop");
        let subject = || Principal::Subject(subject());
        for (caller, principal, how) in [
            (Caller::nobody(), subject(), Proof::Jwt),
            (Caller::direct(id(), Proof::Mtls), id(), Proof::Mtls),
            (Caller::direct(id(), Proof::Dev), id(), Proof::Dev),
        ] {
            let mut shown = caller.clone();
            let (admitted, headers) = admitted(function(), Some("good"), &mut shown).await;
            assert!(admitted && !headers.contains_key("x-token"));
            let expect =
                Caller { principal: principal.clone(), origin: principal, how, token: Some(token()), ..caller };
            assert_eq!(shown, expect);
        }
    }

    #[tokio::test]
    async fn without_a_token_the_caller_is_as_before_and_with_a_bad_one_there_is_no_call() {
        let mut caller = Caller::nobody();
        assert!(admitted(function(), None, &mut caller).await.0);
        assert!(!admitted(function(), Some("bad"), &mut caller).await.0);
        assert_eq!(caller, Caller::nobody());
    }

    /// A snapshot with Issuers `namespace/issuer/audience`.
    fn with_issuers(issuers: &[(&str, &str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::of_policy(1, PolicyIndex::new(Verdict::Allow, []));
        for (index, (namespace, issuer, audience)) in issuers.iter().enumerate() {
            let text = format!(
                "apiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: i{index}, namespace: {namespace} }}\n\
                 spec: {{ issuer: '{issuer}', audiences: [ {audience} ], jwksUri: 'https://id.example/jwks' }}\n"
            );
            for resource in parse(&[SourceFile::new("app.yaml", text)]).expect("an Issuer") {
                if let Resource::Issuer(issuer) = resource {
                    snapshot.issuers.push(Arc::new(issuer));
                }
            }
        }
        snapshot
    }

    #[test]
    fn a_token_is_worth_nothing_without_its_issuer() {
        let caller = |scope: Option<&str>, how: Proof| {
            let subject = Subject { scope: scope.map(|name| name.parse().expect("a name")), ..subject() };
            let token = Token { subject, audiences: vec!["weft".into()], ..Token::clone(&token()) };
            Caller { token: Some(Arc::new(token)), how, ..Caller::nobody() }
        };
        let (id, other) = ("https://id.example", "https://other.example");
        let check = |issuers: &[(&str, &str, &str)], caller: &Caller, expect: bool| {
            let found = withdrawn(&with_issuers(issuers), caller).map(|failure| failure.reason);
            assert_eq!(found, expect.then_some(Reason::AuthnInvalid), "{issuers:?} {caller:?}");
        };
        let (own, mesh) = (caller(Some("shop"), Proof::Jwt), caller(None, Proof::Mtls));
        let both = [("shop", id, "weft"), ("weft-system", id, "weft")];
        for caller in [&own, &mesh] {
            check(&both, caller, false);
            check(&[], caller, true);
            check(&[("default", id, "weft"), ("till", id, "weft"), ("zoo", id, "weft")], caller, true);
            check(&both.map(|(namespace, ..)| (namespace, other, "weft")), caller, true);
            check(&both.map(|(namespace, ..)| (namespace, "https://id.exampl", "weft")), caller, true);
            check(&both.map(|(namespace, ..)| (namespace, id, "other")), caller, true);
        }
        check(&both[..1], &own, false);
        check(&both[..1], &mesh, true);
        check(&both[1..], &own, true);
        check(&both[1..], &mesh, false);
        check(&[("shop", other, "x"), ("shop", other, "y"), ("shop", id, "weft")], &own, false);
        // Neither callers without a token nor those of admitted events depend on Issuers.
        check(&[], &Caller::nobody(), false);
        check(&[], &caller(Some("shop"), Proof::Event), false);
    }

    #[tokio::test]
    async fn what_is_nowhere_is_not_verified() {
        let nowhere = Target::Nowhere(Failure::hidden(Reason::RouteNone, "nowhere"));
        let mut caller = Caller::nobody();
        let (admitted, headers) = admitted(nowhere, Some("bad"), &mut caller).await;
        assert!(admitted && headers.contains_key("x-token"));
    }
}
