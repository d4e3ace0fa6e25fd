//! Which addresses may be dialled. A function that may call `api.example` must not reach the node's own network by a
//! name that resolves there, so the check is made on addresses, after resolving and before dialling.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::lookup::Lookup;
use crate::path::call::{Outside, Reach};

/// Why an address is not dialled.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name} has no address that may be reached from here; private addresses must be listed as addresses")]
pub(super) struct Unreachable {
    name: String,
}

/// Which addresses a name may turn out to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Publicly routable ones.
    Public,
    /// These, and loopback.
    Loopback,
    /// Whatever it is: where an operator wrote that private addresses are meant.
    Anything,
    /// None: where a name is not what is allowed.
    NoName,
}

impl Allowed {
    fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => is_public(address) || address.to_canonical().is_loopback(),
            Self::Anything => true,
            Self::NoName => false,
        }
    }

    /// A host that is an address is not resolved, so it is checked here.
    pub(super) fn check_literal(self, host: &str) -> Result<(), Unreachable> {
        match Outside::address(host) {
            Some(address) if !self.allows(address) => Err(Unreachable { name: host.to_owned() }),
            _ => Ok(()),
        }
    }
}

/// Resolves a name and keeps the addresses that may be reached. The connector dials what this gives it and asks nobody
/// again.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    allowed: Allowed,
    lookup: Arc<dyn Lookup>,
}

impl CheckedResolver {
    pub(super) fn new(allowed: Allowed, lookup: Arc<dyn Lookup>) -> Self {
        Self { allowed, lookup }
    }
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { allowed, lookup } = self.clone();
        Box::pin(async move {
            let mut addresses = match allowed {
                Allowed::NoName => Vec::new(),
                _ => lookup.lookup(name.as_str()).await?,
            };
            addresses.retain(|address| allowed.allows(*address));
            if addresses.is_empty() {
                return Err(Unreachable { name: name.as_str().to_owned() }.into());
            }
            // The connector puts the real port in.
            let dialled: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(dialled.into_iter())
        })
    }
}

/// Whether what may be reached allows the host, as far as its text tells.
pub(super) fn check_literal(host: &str, reach: Reach) -> Result<(), Unreachable> {
    match reach {
        Reach::Public => Allowed::Public.check_literal(host),
        Reach::Loopback => Allowed::Loopback.check_literal(host),
        Reach::Listed(listed) if Outside::address(host) == Some(listed) => Ok(()),
        Reach::Listed(_) => Err(Unreachable { name: host.to_owned() }),
    }
}

/// Whether the address is routed on the public internet. What the IANA registries of special-purpose addresses list is
/// not, and an address that wraps another is as public as the one it wraps.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)            // this network, private, loopback
            | (100, 64..=127, _)      // carrier-grade NAT
            | (169, 254, _)           // link local, metadata services
            | (172, 16..=31, _)       // private
            | (192, 0, 0 | 2)         // protocol assignments, documentation
            | (192, 88, 99)           // 6to4 relays
            | (192, 168, _)           // private
            | (198, 18..=19, _)       // benchmarks
            | (198, 51, 100)          // documentation
            | (203, 0, 113)           // documentation
            | (224..=255, ..) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(wrapped) = address.to_ipv4_mapped() {
        return is_public_v4(wrapped);
    }
    let [a, b, ..] = address.segments();
    let wrapped = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        (0x0064, 0xff9b) if address.segments()[2] == 0 => wrapped(address.segments()[6], address.segments()[7]), // NAT64
        (0x2002, high) => wrapped(high, address.segments()[2]),                                                  // 6to4
        (0x2001, 0..=0x01ff) => false,                    // protocol assignments, Teredo
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => false, // documentation
        _ => (a & 0xe000) == 0x2000,                      // global unicast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            let address: IpAddr = text.parse().expect("an address");
            assert!(!is_public(address), "{text}");
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            assert!(check_literal(&host, Reach::Public).is_err(), "{text}");
            let local = check_literal(&host, Reach::Loopback).is_ok();
            assert_eq!(local, address.to_canonical().is_loopback(), "{text}");
            assert!(check_literal(&host, Reach::Listed(address)).is_ok(), "{text}");
            assert!(check_literal(&host, Reach::Listed([9, 9, 9, 9].into())).is_err(), "{text}");
        }
    }

    #[test]
    fn public_addresses_are() {
        for text in [
            "1.1.1.1",
            "9.9.9.9",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2002:909:909::1",
            "::ffff:9.9.9.9",
            "64:ff9b::909:909",
        ] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
        assert!(check_literal("api.example", Reach::Public).is_ok());
        assert!(check_literal("api.example", Reach::Listed([9, 9, 9, 9].into())).is_err(), "a name is no address");
    }
}
