//! Whether somebody may change resources. Handed in with an apply, because what it changes is known only once it is
//! planned, and who asks is known only to whoever took the request.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use weft_functions::manifest::ResourceId;

use crate::path::outcome::Failure;

type Ask = dyn Fn(Vec<ResourceId>) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// Asked once for each apply, about all that it changes, before it changes anything.
#[derive(Clone)]
pub struct Judge(Arc<Ask>);

impl Judge {
    /// One that asks policy.
    pub fn new(
        ask: impl Fn(Vec<ResourceId>) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    /// The node itself, for its watched folder: whoever writes there runs the node.
    pub fn node() -> Self {
        Self::new(|_| async { Ok(()) }.boxed())
    }

    pub(super) fn ask(&self, changed: Vec<ResourceId>) -> BoxFuture<'static, Result<(), Failure>> {
        (self.0)(changed)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}
