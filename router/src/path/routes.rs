//! From a name to a target: `NAME.NS.DOMAIN` is a function, `topics.DOMAIN/NS/TOPIC` a topic, for callers outside under
//! the node's domain and for functions under `weft.internal`. Pure: whether the target exists is the snapshot's to say.

use weft_functions::policy::Verb;
use weft_functions::value::{Name, Namespaced};

use super::call::Target;
use super::outcome::{Failure, Reason};
use super::spiffe::TrustDomain;

/// The domain under which functions reach the mesh.
pub const INTERNAL_DOMAIN: &str = "weft.internal";

/// The first label of the address that takes events.
const TOPICS: &str = "topics";

/// The namespace that addresses may leave out.
const DEFAULT_NAMESPACE: &str = "default";

/// How this node's names become targets.
#[derive(Debug, Clone)]
pub struct Names {
    /// What follows `NAME.NS.` in a function's address, such as `localhost`.
    pub domain: Box<str>,
    /// The trust domain of the identities asserted here, such as `weft.local`.
    pub trust_domain: TrustDomain,
    /// Whether loopback addresses and bare `localhost` take `POST /topics/NS/TOPIC` (`weft dev` does, because many
    /// clients cannot resolve `*.localhost`).
    pub loopback_topics: bool,
}

/// What a name came to.
#[derive(Debug, Clone)]
pub struct Routed {
    /// What a call to this address means.
    pub verb: Verb,
    /// What it is aimed at.
    pub target: Target,
}

impl Routed {
    fn function(name: Namespaced) -> Self {
        Self { verb: Verb::Request, target: Target::Function(name) }
    }

    fn topic(name: Namespaced) -> Self {
        Self { verb: Verb::Publish, target: Target::Topic(name) }
    }

    fn nowhere(log: String) -> Self {
        Self { verb: Verb::Request, target: Target::Nowhere(Failure::hidden(Reason::RouteNone, log)) }
    }
}

impl Names {
    /// Routes a call from outside by its canonical host and path.
    pub fn inbound(&self, host: &str, path: &str) -> Routed {
        if self.loopback_topics && is_loopback(host) {
            return match path.strip_prefix("/topics").map(two_segments) {
                Some(Some(name)) => Routed::topic(name),
                _ => Routed::nowhere(format!("{host} takes POST /topics/NS/TOPIC and nothing else")),
            };
        }
        match mesh_name(host, &self.domain, path) {
            Some(routed) => routed,
            None => Routed::nowhere(format!("host {host:?} is not below {:?}", self.domain)),
        }
    }

    /// Routes a function's outgoing call by its host and path, if it stays within the mesh.
    pub fn within(&self, host: &str, path: &str) -> Option<Routed> {
        mesh_name(host, INTERNAL_DOMAIN, path)
    }

    /// The host under which a function is reached from outside; the default namespace is left out.
    pub fn function_host(&self, name: &Namespaced) -> String {
        match name.namespace.as_str() {
            DEFAULT_NAMESPACE => format!("{}.{}", name.name, self.domain),
            namespace => format!("{}.{namespace}.{}", name.name, self.domain),
        }
    }

    /// The host that takes events from outside.
    pub fn topics_host(&self) -> String {
        format!("{TOPICS}.{}", self.domain)
    }
}

/// The host that a guest sees itself addressed by when an event is delivered to it.
pub fn internal_host(name: &Namespaced) -> String {
    format!("{}.{}.{INTERNAL_DOMAIN}", name.name, name.namespace)
}

/// Whether the host is below the domain under which functions reach the mesh.
pub fn is_within(host: &str) -> bool {
    host.strip_suffix(INTERNAL_DOMAIN).is_some_and(|labels| labels.ends_with('.'))
}

/// `None` if the host is not below the domain; otherwise what it names, be it nothing.
fn mesh_name(host: &str, domain: &str, path: &str) -> Option<Routed> {
    let labels = host.strip_suffix(domain)?.strip_suffix('.')?;
    if labels == TOPICS {
        let nowhere = || Routed::nowhere(format!("a topic's path is /NS/TOPIC, not {path:?}"));
        return Some(two_segments(path).map_or_else(nowhere, Routed::topic));
    }
    let mut parts = labels.split('.');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => namespaced(DEFAULT_NAMESPACE, name),
        (Some(name), Some(namespace), None) => namespaced(namespace, name),
        _ => None,
    };
    Some(name.map_or_else(|| Routed::nowhere(format!("{labels:?} is not NAME or NAME.NS")), Routed::function))
}

fn two_segments(path: &str) -> Option<Namespaced> {
    let (namespace, name) = path.strip_prefix('/')?.split_once('/')?;
    namespaced(namespace, name)
}

fn namespaced(namespace: &str, name: &str) -> Option<Namespaced> {
    Some(Namespaced { namespace: namespace.parse::<Name>().ok()?, name: name.parse::<Name>().ok()? })
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(domain: &str) -> Names {
        Names {
            domain: domain.into(),
            trust_domain: "weft.local".parse().expect("a trust domain"),
            loopback_topics: domain == "localhost",
        }
    }

    #[test]
    fn names_from_outside() {
        let check = |domain: &str, host: &str, path: &str, expect: &str| {
            let target = names(domain).inbound(host, path).target.to_string();
            assert_eq!(target, expect, "{host}{path}");
        };
        check("localhost", "hello.localhost", "/", "function default/hello");
        check("localhost", "hello.shop.localhost", "/a/b", "function shop/hello");
        check("localhost", "topics.localhost", "/default/orders", "topic default/orders");
        check("localhost", "127.0.0.1", "/topics/shop/orders", "topic shop/orders");
        check("localhost", "[::1]", "/topics/shop/orders", "topic shop/orders");
        check("localhost", "localhost", "/topics/shop/orders", "topic shop/orders");
        check("mesh.example", "a.b.mesh.example", "/", "function b/a");
        for (domain, host, path) in [
            ("localhost", "localhost", "/"),
            ("localhost", "localhost", "/topics/shop"),
            ("localhost", "localhost", "/topicsx/shop/orders"),
            ("localhost", "10.0.0.1", "/topics/shop/orders"),
            ("localhost", "a.b.c.localhost", "/"),
            ("localhost", ".localhost", "/"),
            ("localhost", "xlocalhost", "/"),
            ("localhost", "Hello.localhost", "/"),
            ("localhost", "topics.localhost", "/orders"),
            ("localhost", "topics.localhost", "/default/orders/more"),
            ("localhost", "topics.localhost", "/default/"),
            ("mesh.example", "127.0.0.1", "/topics/shop/orders"),
            ("mesh.example", "hello.localhost", "/"),
            ("mesh.example", "mesh.example", "/"),
        ] {
            check(domain, host, path, "nowhere");
        }
    }

    #[test]
    fn names_within() {
        let within = |host: &str, path: &str| names("localhost").within(host, path).map(|r| r.target.to_string());
        assert_eq!(within("billing.shop.weft.internal", "/x").as_deref(), Some("function shop/billing"));
        assert_eq!(within("topics.weft.internal", "/default/orders").as_deref(), Some("topic default/orders"));
        assert_eq!(within("weft.internal", "/"), None);
        assert_eq!(within("api.example", "/"), None);
        assert_eq!(within("billing.localhost", "/"), None);
    }
}
