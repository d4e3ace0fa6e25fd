//! From a name to addresses. A trait, so that tests can be a resolver that lies; the system's resolver otherwise.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Addresses that a name may have; more are not looked at.
const ADDRESSES_MAX: usize = 16;

/// Names that are looked up at once. The system's resolver blocks a thread for as long as a name server takes, and these
/// threads are those that write to the disk.
const LOOKUPS_MAX: usize = 32;

/// Resolves names.
#[async_trait]
pub(super) trait Lookup: Send + Sync {
    /// The addresses of `name`, at most 16 of them.
    ///
    /// # Errors
    /// It has none, or nobody could say.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(super) struct SystemLookup {
    places: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let looked_up = tokio::task::spawn_blocking(move || {
            // Held until the resolver answers, also when nobody waits for it any more.
            let _place = place;
            let addresses = (name.as_str(), 0).to_socket_addrs()?;
            Ok(addresses.take(ADDRESSES_MAX).map(|address| address.ip()).collect())
        });
        looked_up.await.map_err(io::Error::other)?
    }
}

/// A resolver for which every name has one address.
#[cfg(test)]
pub(super) struct Always(pub(super) IpAddr);

#[cfg(test)]
#[async_trait]
impl Lookup for Always {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0])
    }
}
