//! The data plane as the command line uses it: like any client, at the address the node names, with a `Host` header.
//!
//! Separate from the admin client because nothing here is privileged: what `weft invoke` can do, curl can do.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;
use weft_functions::value::Namespaced;

use super::wire::{self, Ask, Channel};
use super::{Address, Admin, ClientError, Node, Proof};
use crate::cli::DEFAULT_NAMESPACE;

/// The node's data address and the domain under which it serves.
#[derive(Debug)]
pub(in crate::cli) struct DataPlane {
    address: Address,
    admin: Address,
    domain: String,
    proof: Proof,
    /// The authorities that the node says its clients trust.
    bundle: Option<String>,
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
    /// Asks the node where it takes calls of somebody who shows what we show.
    pub(in crate::cli) async fn of(admin: &Admin) -> Result<Self, ClientError> {
        let node = admin.node().await?;
        let found = Self::at(&node, admin.address(), &admin.proof)?;
        found.map_err(|error| ClientError::Unreadable {
            address: admin.address().clone(),
            what: format!("with a data address that is none: {error}"),
        })
    }

    /// The address that suits the proof, or why there is none.
    fn at(node: &Node, admin: &Address, proof: &Proof) -> Result<Result<Self, String>, ClientError> {
        let plain = |text: &String| Address::from_host_port(text);
        let tls = |text: &String| Address::tls_from_host_port(text);
        let found = if proof.has_certificate() {
            node.mtls.as_ref().map(tls)
        } else {
            node.http.as_ref().map(plain).or_else(|| node.tls.as_ref().map(tls))
        };
        let Some(found) = found else {
            let what = match proof.has_certificate() {
                true => "it takes no client certificates; leave --cert out",
                false => "it takes calls with a client's certificate only; give --cert and --key",
            };
            return Err(ClientError::Unasked(what.to_owned()));
        };
        Ok(found.map(|mut address| {
            // A node that listens everywhere is where its admin API was found.
            if let Address::Tcp { host, .. } | Address::Tls { host, .. } = &mut address
                && host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
            {
                *host = match admin {
                    Address::Tcp { host, .. } | Address::Tls { host, .. } => host.clone(),
                    Address::Unix(_) => "127.0.0.1".to_owned(),
                };
            }
            let (proof, bundle) = (proof.clone(), node.bundle.clone());
            Self { address, admin: admin.clone(), domain: node.domain.clone(), proof, bundle }
        }))
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
        let channel = match &self.address {
            Address::Tls { .. } => {
                let config = self.proof.tls(self.bundle.as_deref()).map_err(ClientError::Unasked)?;
                Some(Channel { config, name: host.clone() })
            }
            Address::Tcp { .. } | Address::Unix(_) => None,
        };
        if let Some(authorization) = self.proof.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let host = match &self.address {
            Address::Tcp { port, .. } | Address::Tls { port, .. } => format!("{host}:{port}"),
            Address::Unix(_) => host,
        };
        let value =
            HeaderValue::try_from(&host).map_err(|_| ClientError::Unasked(format!("{host:?} is no host name")))?;
        headers.insert(HOST, value);
        let ask = Ask { method, path, headers, body };
        wire::send(&self.address, channel.as_ref(), ask, patience).await.map_err(|error| match error {
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
        let node = |http: &str| Node {
            domain: "mesh.example".into(),
            http: Some(http.into()),
            mtls: None,
            tls: None,
            bundle: None,
        };
        let at = |node: &Node, admin: &str| DataPlane::at(node, &admin.parse().unwrap(), &Proof::default());
        let check = |http: &str, admin: &str, expect: &str| {
            let plane = at(&node(http), admin).unwrap().unwrap();
            assert_eq!(plane.address().to_string(), expect);
        };
        check("127.0.0.1:8080", "http://127.0.0.1:8081", "http://127.0.0.1:8080");
        check("0.0.0.0:8080", "http://10.0.0.7:8081", "http://10.0.0.7:8080");
        check("[::]:8080", "unix:/run/weft/admin.sock", "http://127.0.0.1:8080");
        let secured = Node { http: None, tls: Some("0.0.0.0:8443".into()), ..node("") };
        assert_eq!(at(&secured, "https://n:1").unwrap().unwrap().address().to_string(), "https://n:8443");
        let proven = Node { http: None, mtls: Some("0.0.0.0:8443".into()), ..node("") };
        let error = at(&proven, "https://n:1").unwrap_err().to_string();
        assert!(error.contains("give --cert and --key"), "{error}");

        let plane = at(&node("127.0.0.1:1"), "http://127.0.0.1:2").unwrap().unwrap();
        let host = |function: &str| plane.function_host(&function.parse().unwrap());
        assert_eq!(host("hello"), "hello.mesh.example");
        assert_eq!(host("shop/hello"), "hello.shop.mesh.example");
        assert_eq!(plane.topics_host(), "topics.mesh.example");
    }
}
