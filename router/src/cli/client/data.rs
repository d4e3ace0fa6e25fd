//! The data plane as the command line uses it: like any client, at the address the node names, with a `Host` header.
//!
//! Separate from the admin client because nothing here is privileged: what `weft invoke` can do, curl can do.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;
use weft_functions::value::Namespaced;

use super::wire::{self, Ask};
use super::{Address, Admin, ClientError, Node};
use crate::cli::DEFAULT_NAMESPACE;

/// The node's data address and the domain under which it serves.
#[derive(Debug)]
pub(in crate::cli) struct DataPlane {
    address: Address,
    admin: Address,
    domain: String,
}

/// A request to a host of the mesh.
#[derive(Debug)]
pub(in crate::cli) struct DataCall {
    pub(in crate::cli) method: Method,
    /// Without the port.
    pub(in crate::cli) host: String,
    /// Path and query, byte for byte.
    pub(in crate::cli) path: String,
    pub(in crate::cli) headers: HeaderMap,
    pub(in crate::cli) body: Bytes,
    /// How long the head of the answer may take.
    pub(in crate::cli) patience: Duration,
}

impl DataPlane {
    /// Asks the node where it takes calls.
    pub(in crate::cli) async fn of(admin: &Admin) -> Result<Self, ClientError> {
        let node = admin.node().await?;
        Self::at(&node, admin.address()).map_err(|error| ClientError::Unreadable {
            address: admin.address().clone(),
            what: format!("with a data address that is none: {error}"),
        })
    }

    fn at(node: &Node, admin: &Address) -> Result<Self, String> {
        let mut address = Address::from_host_port(&node.http)?;
        // A node that listens everywhere is where its admin API was found.
        if let Address::Tcp { host, .. } = &mut address
            && host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
        {
            *host = match admin {
                Address::Tcp { host, .. } => host.clone(),
                Address::Unix(_) => "127.0.0.1".to_owned(),
            };
        }
        Ok(Self { address, admin: admin.clone(), domain: node.domain.clone() })
    }

    /// Where calls go.
    pub(in crate::cli) fn address(&self) -> &Address {
        &self.address
    }

    /// The host name of a function: `NAME.NS.DOMAIN`, without `NS` for the default namespace.
    pub(in crate::cli) fn function_host(&self, function: &Namespaced) -> String {
        let Namespaced { namespace, name } = function;
        match namespace.as_str() {
            DEFAULT_NAMESPACE => format!("{name}.{}", self.domain),
            _ => format!("{name}.{namespace}.{}", self.domain),
        }
    }

    /// The host name under which topics take events.
    pub(in crate::cli) fn topics_host(&self) -> String {
        format!("topics.{}", self.domain)
    }

    /// Calls and waits for the head of the answer; its body streams.
    pub(in crate::cli) async fn call(&self, call: DataCall) -> Result<Response<Incoming>, ClientError> {
        let DataCall { method, host, path, mut headers, body, patience } = call;
        let host = match &self.address {
            Address::Tcp { port, .. } => format!("{host}:{port}"),
            Address::Unix(_) => host,
        };
        let value =
            HeaderValue::try_from(&host).map_err(|_| ClientError::Unasked(format!("{host:?} is no host name")))?;
        headers.insert(HOST, value);
        let ask = Ask { method, path, headers, body };
        wire::send(&self.address, ask, patience).await.map_err(|error| match error {
            // The node is there: "start one with 'weft dev'" would be the wrong advice.
            ClientError::Unreachable { address, cause } => {
                ClientError::DataUnreachable { address, admin: self.admin.clone(), cause }
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_address_is_found_and_hosts_are_made() {
        let check = |http: &str, admin: &str, expect: &str| {
            let node = Node { domain: "localhost".into(), http: http.into() };
            let plane = DataPlane::at(&node, &admin.parse().unwrap()).unwrap();
            assert_eq!(plane.address().to_string(), expect);
        };
        check("127.0.0.1:8080", "http://127.0.0.1:8081", "http://127.0.0.1:8080");
        check("0.0.0.0:8080", "http://10.0.0.7:8081", "http://10.0.0.7:8080");
        check("[::]:8080", "unix:/run/weft/admin.sock", "http://127.0.0.1:8080");

        let node = Node { domain: "mesh.example".into(), http: "127.0.0.1:1".into() };
        let plane = DataPlane::at(&node, &"http://127.0.0.1:2".parse().unwrap()).unwrap();
        let host = |function: &str| plane.function_host(&function.parse().unwrap());
        assert_eq!(host("hello"), "hello.mesh.example");
        assert_eq!(host("shop/hello"), "hello.shop.mesh.example");
        assert_eq!(plane.topics_host(), "topics.mesh.example");
    }
}
