//! What each address of the admin API asks policy for, in one table. An address that is not in it asks for the whole mesh.

use http::Method;
use weft_functions::manifest::{Kind, ResourceId, SYSTEM_NAMESPACE};
use weft_functions::policy::Verb;
use weft_functions::value::Name;

use super::refusal::Refusal;
use super::resources::{read_id, read_namespaced};
use crate::path::call::Target;

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Right {
    /// Nothing: whoever reaches the listener may know whether the node lives.
    None,
    /// To do this, before anything else happens.
    To(Verb, Target),
    /// What it touches is known to its handler, which asks for each.
    Each,
}

/// The whole mesh as a target: what is of no namespace.
pub(super) fn mesh() -> Target {
    // The namespace's name is one; were it not, nobody would have any right.
    let name = SYSTEM_NAMESPACE.parse::<Name>();
    name.map_or_else(|error| Target::Nowhere(Refusal::unroutable(error.to_string())), Target::Namespace)
}

/// What a request to `address` (a route of the API, if it is one) asks for.
///
/// # Errors
/// What is named in the address is not a name, so there is nothing there.
pub(super) fn of(method: &Method, address: Option<&str>, names: &[(String, String)]) -> Result<Right, Refusal> {
    let named = |key: &str| names.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str());
    let reading = matches!(*method, Method::GET | Method::HEAD);
    let resource = |kind: Option<Kind>| {
        let (namespace, name) = (named("namespace"), named("name"));
        Ok::<_, Refusal>(Target::Resource(match kind {
            Some(kind) => {
                let name = read_namespaced(namespace, name)?;
                ResourceId { kind, namespace: name.namespace, name: name.name }
            }
            None => read_id(named("kind"), namespace, name)?,
        }))
    };
    Ok(match address {
        Some("/healthz" | "/readyz") => Right::None,
        Some("/api/v1/resources/{kind}/{namespace}/{name}") => {
            Right::To(if reading { Verb::Read } else { Verb::Apply }, resource(None)?)
        }
        Some("/api/v1/topics/{namespace}/{name}/events") if reading => {
            Right::To(Verb::Read, resource(Some(Kind::Topic))?)
        }
        Some("/api/v1/triggers/{namespace}/{name}/dead") if reading => {
            Right::To(Verb::Read, resource(Some(Kind::Trigger))?)
        }
        Some("/api/v1/triggers/{namespace}/{name}/redrive" | "/api/v1/triggers/{namespace}/{name}/replay") => {
            Right::To(Verb::Operate, resource(Some(Kind::Trigger))?)
        }
        Some("/api/v1/jobs" | "/api/v1/jobs/{id}") if reading => Right::Each,
        Some("/api/v1/jobs/{id}/stop") => Right::Each,
        Some("/api/v1/resources/{kind}") if reading => Right::Each,
        Some("/api/v1/apply" | "/api/v1/modules/{digest}") => Right::Each,
        Some(
            "/api/v1/explain/request"
            | "/api/v1/explain/event"
            | "/api/v1/explain/decisions/{id}"
            | "/api/v1/explain/deliveries",
        ) => Right::Each,
        // `/metrics` and `/api/v1/node` among them.
        _ => Right::To(if reading { Verb::Read } else { Verb::Operate }, mesh()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_asks_for_something() {
        let names = [("kind", "topics"), ("namespace", "shop"), ("name", "orders"), ("id", "d-1")];
        let names = names.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let check = |method: Method, address: &str, expect: &str| {
            let right = match of(&method, Some(address), &names) {
                Ok(Right::None) => "nothing".to_owned(),
                Ok(Right::Each) => "each".to_owned(),
                Ok(Right::To(verb, target)) => format!("{} {target}", verb.as_str()),
                Err(_) => "refused".to_owned(),
            };
            assert_eq!(right, expect, "{method} {address}");
        };
        check(Method::GET, "/healthz", "nothing");
        check(Method::GET, "/readyz", "nothing");
        check(Method::GET, "/metrics", "read namespace weft-system");
        check(Method::GET, "/api/v1/node", "read namespace weft-system");
        check(Method::POST, "/api/v1/node", "operate namespace weft-system");
        check(Method::GET, "/api/v1/resources/{kind}", "each");
        check(Method::DELETE, "/api/v1/resources/{kind}", "operate namespace weft-system");
        let one = "/api/v1/resources/{kind}/{namespace}/{name}";
        check(Method::GET, one, "read Topic shop/orders");
        check(Method::HEAD, one, "read Topic shop/orders");
        check(Method::DELETE, one, "apply Topic shop/orders");
        check(Method::PUT, one, "apply Topic shop/orders");
        check(Method::GET, "/api/v1/topics/{namespace}/{name}/events", "read Topic shop/orders");
        check(Method::GET, "/api/v1/triggers/{namespace}/{name}/dead", "read Trigger shop/orders");
        check(Method::POST, "/api/v1/triggers/{namespace}/{name}/redrive", "operate Trigger shop/orders");
        check(Method::POST, "/api/v1/triggers/{namespace}/{name}/replay", "operate Trigger shop/orders");
        check(Method::GET, "/api/v1/jobs", "each");
        check(Method::GET, "/api/v1/jobs/{id}", "each");
        check(Method::POST, "/api/v1/jobs/{id}", "operate namespace weft-system");
        check(Method::POST, "/api/v1/jobs/{id}/stop", "each");
        check(Method::POST, "/api/v1/apply", "each");
        check(Method::PUT, "/api/v1/modules/{digest}", "each");
        check(Method::POST, "/api/v1/explain/request", "each");
        check(Method::POST, "/api/v1/explain/event", "each");
        check(Method::GET, "/api/v1/explain/decisions/{id}", "each");
        check(Method::GET, "/api/v1/explain/deliveries", "each");
        check(Method::GET, "/api/v1/added/later", "read namespace weft-system");
        check(Method::POST, "/api/v1/added/later", "operate namespace weft-system");
        assert!(of(&Method::GET, Some(one), &[]).is_err(), "what is no name names nothing");
        assert!(matches!(of(&Method::GET, None, &[]), Ok(Right::To(Verb::Read, _))));
    }
}
