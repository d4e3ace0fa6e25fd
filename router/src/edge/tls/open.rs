//! The connections that are open by certificate, so that what is no longer trusted can be cut (C-03). Separate because it
//! is the one thing that two sides share: the listeners enter and leave, whoever changes the trust judges again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::{CertificateDer, UnixTime};
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::svid::Role;
use super::trust::Trust;

/// A chain as it came in a handshake.
pub(super) type Chain = Arc<[CertificateDer<'static>]>;

/// Open connections. As many as the listeners allow, each with at most 64 KiB of certificates.
#[derive(Debug, Default)]
pub(super) struct Open {
    next: AtomicU64,
    connections: Mutex<HashMap<u64, Connection>>,
}

#[derive(Debug, Clone)]
struct Connection {
    chain: Chain,
    cut: CancellationToken,
}

/// One open connection; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    open: Arc<Open>,
    number: u64,
    cut: CancellationToken,
}

impl Entry {
    /// Cancelled once the connection's certificate is no longer trusted.
    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        // Nothing can be half done: each change is one call of the map.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection whose client showed this chain.
    pub(super) fn enter(self: &Arc<Self>, chain: Chain) -> Entry {
        let (number, cut) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        self.lock().insert(number, Connection { chain, cut: cut.clone() });
        Entry { open: Arc::clone(self), number, cut }
    }

    /// Judges every open connection as if its handshake came now, and cuts those that would be refused. An expired
    /// certificate is none of this: its connection ends by itself, in order. Returns how many were cut.
    pub(super) fn judge(&self, trust: &Trust, now: UnixTime) -> usize {
        let connections: Vec<_> = self.lock().values().cloned().collect();
        // Many connections of one client have one chain.
        let mut verdicts: HashMap<Chain, bool> = HashMap::new();
        let mut cut = 0;
        for connection in connections {
            let refused = *verdicts.entry(Arc::clone(&connection.chain)).or_insert_with(|| {
                !matches!(trust.verify(&connection.chain, Role::Client, now), Ok(_) | Err(Fault::Expired))
            });
            if refused && !connection.cut.is_cancelled() {
                connection.cut.cancel();
                cut += 1;
            }
        }
        cut
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tls::mint::{Authority, at, now};

    fn trust(roots: &[&Authority], lists: &[rustls::pki_types::CertificateRevocationListDer<'_>]) -> Trust {
        let roots = roots.iter().map(|root| root.der.clone()).collect();
        Trust::new([("weft.local".parse().unwrap(), roots)], lists).unwrap()
    }

    #[test]
    fn what_is_no_longer_trusted_is_cut_and_nothing_else() {
        let (a, b) = (Authority::root("a"), Authority::root("b"));
        let open = Arc::new(Open::default());
        let (first, second, third) = (a.leaf(|_| {}).0, a.leaf(|_| {}).0, b.leaf(|_| {}).0);
        let old = a.leaf(|leaf| leaf.not_after = at(-1)).0;
        let enter = |leaf: &CertificateDer<'static>| open.enter(Arc::from([leaf.clone()]));
        let connections = [enter(&first), enter(&first), enter(&second), enter(&third), enter(&old)];
        let cut = || connections.each_ref().map(|connection| connection.cut().is_cancelled());
        assert_eq!(open.judge(&trust(&[&a, &b], &[]), now()), 0);
        assert_eq!(open.judge(&trust(&[&a, &b], &[a.revoke(&[&first], 60)]), now()), 2);
        assert_eq!(cut(), [true, true, false, false, false]);
        assert_eq!(open.judge(&trust(&[&b], &[]), now()), 1, "the root left, and what was cut is not cut again");
        assert_eq!(cut(), [true, true, true, false, false]);
        drop(connections);
        assert_eq!(open.len(), 0);
    }
}
