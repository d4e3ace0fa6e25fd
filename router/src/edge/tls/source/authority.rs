//! An embedded authority makes the node's certificates itself: a new one at half of the old one's life, and at once when
//! somebody put another authority into its folder.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::watched::{TrustFiles, Watched};
use super::{NoIdentity, Node, alarm, rely_on};
use crate::edge::tls::authority::{Authority, LEAF_LIFE, files};
use crate::edge::tls::keyring::Keyring;
use crate::edge::tls::own::Own;

/// An authority's folder.
pub(super) struct FromAuthority {
    root: Watched,
    key: Watched,
    trust: TrustFiles,
    authority: Arc<ArcSwap<Authority>>,
    node: Node,
    /// When the next certificate is due, in seconds since 1970.
    due: u64,
}

impl FromAuthority {
    pub(super) async fn open(folder: &Path, node: &Node, keyring: &Keyring) -> Result<Self, NoIdentity> {
        let (mut root, mut key) = (Watched::new(&folder.join(files::ROOT)), Watched::new(&folder.join(files::KEY)));
        root.changed().await;
        key.changed().await;
        let authority = read(&root, &key, node).map_err(|why| {
            NoIdentity(format!("{why}; make an authority with 'weft ca init --dir {} …'", folder.display()))
        })?;
        let (bundle, list) = (folder.join(files::BUNDLE), folder.join(files::LIST));
        let mut from = Self {
            root,
            key,
            trust: TrustFiles::new(&node.trust_domain, &bundle, Some(&list), true),
            authority: Arc::new(ArcSwap::from_pointee(authority)),
            node: node.clone(),
            due: 0,
        };
        let trust = from.trust.open().await.map_err(NoIdentity)?;
        from.renew(keyring).map_err(NoIdentity)?;
        keyring.rely_on(trust).await;
        Ok(from)
    }

    /// The authority in force, for whoever makes certificates with it.
    pub(super) fn authority(&self) -> Arc<ArcSwap<Authority>> {
        Arc::clone(&self.authority)
    }

    pub(super) async fn look(&mut self, keyring: &Keyring) {
        let now = keyring.now().as_secs();
        if let Some(trust) = self.trust.look().await {
            rely_on(keyring, trust).await;
        }
        let mut due = now >= self.due;
        // Both are looked at, whatever the first says.
        if [self.root.changed().await, self.key.changed().await] != [false, false] {
            match read(&self.root, &self.key, &self.node) {
                Ok(authority) => {
                    self.authority.store(Arc::new(authority));
                    due = true;
                }
                Err(why) => alarm(&format!("{why}; the authority before it goes on")),
            }
        }
        if due && let Err(why) = self.renew(keyring) {
            // Tried again soon, and not at every look.
            self.due = now + 60;
            alarm(&format!("{why}; the certificate before it is shown on"));
        }
    }

    fn renew(&mut self, keyring: &Keyring) -> Result<(), String> {
        let (authority, now) = (self.authority.load_full(), keyring.now());
        let own = Own::made(&authority, &self.node.id, &self.node.domain, now);
        let own = own.map_err(|error| format!("cannot make the node's certificate: {error}"))?;
        keyring.show(own);
        self.due = half_life(now.as_secs());
        Ok(())
    }
}

/// When a certificate made now is renewed, in seconds since 1970.
pub(in crate::edge::tls) fn half_life(now: u64) -> u64 {
    now + LEAF_LIFE.whole_seconds().unsigned_abs() / 2
}

fn read(root: &Watched, key: &Watched, node: &Node) -> Result<Authority, String> {
    let folder = root.path().parent().unwrap_or(root.path()).display();
    let authority = Authority::from_pem(root.bytes()?, key.bytes()?).map_err(|error| format!("{folder}: {error}"))?;
    if *authority.trust_domain() == node.trust_domain {
        return Ok(authority);
    }
    let (theirs, ours) = (authority.trust_domain(), &node.trust_domain);
    Err(format!("{folder}: the authority is that of {theirs}, and the node's trust domain is {ours}"))
}
