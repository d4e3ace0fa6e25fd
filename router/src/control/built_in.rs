//! The policy that `weft serve` brings with it: whoever may use the admin socket may administer the mesh. A policy like
//! any other, so that explain names it and a DENY takes it away; nobody writes it, so it stands in no file.

use std::sync::Arc;

use weft_functions::manifest::{Location, Problem, Resource, SYSTEM_NAMESPACE};
use weft_functions::policy::Policy;

use crate::path::spiffe::{SpiffeId, TrustDomain};

/// What explanations name as its file.
pub const FILE: &str = "built-in";

/// The policy's name.
const NAME: &str = "built-in-admin";

/// The name of the client that the admin socket stands for.
const ADMIN: &str = "admin";

/// The identity of whoever uses the admin socket: `spiffe://TD/ns/weft-system/sa/admin`.
pub fn admin(trust_domain: &TrustDomain) -> Option<SpiffeId> {
    Some(trust_domain.client(&SYSTEM_NAMESPACE.parse().ok()?, &ADMIN.parse().ok()?))
}

/// The policy that lets it read, apply and operate.
///
/// # Errors
/// The language of policies changed and this one was forgotten, which a test would have found.
pub fn policy(trust_domain: &TrustDomain) -> Result<Option<Arc<Policy>>, Vec<Problem>> {
    let Some(admin) = admin(trust_domain) else { return Ok(None) };
    let json = serde_json::json!({
        "apiVersion": weft_functions::manifest::API_VERSION,
        "kind": "Policy",
        "metadata": { "name": NAME, "namespace": SYSTEM_NAMESPACE },
        "spec": {
            "action": "ALLOW",
            "rules": [{
                "from": [{ "source": { "principals": [admin.as_str()] } }],
                "to": [{ "operation": { "verbs": ["read", "apply", "operate"] } }],
            }],
        },
    });
    match Resource::from_json(&json, Location { file: FILE.into(), line: 1, column: 1 })? {
        Resource::Policy(policy) => Ok(Some(policy)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_policy() {
        let policy = policy(&"weft.local".parse().expect("a trust domain")).expect("no mistakes").expect("a policy");
        assert_eq!(policy.metadata.namespaced().to_string(), "weft-system/built-in-admin");
        assert_eq!(policy.location.to_string(), "built-in:1");
        let principals = &policy.spec.rules[0].from[0].principals.any;
        assert_eq!(principals[0].to_string(), "spiffe://weft.local/ns/weft-system/sa/admin");
    }
}
