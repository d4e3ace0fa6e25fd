//! Stores that have served a call and wait for another one of the same revision, where its manifest allows that
//! (`isolation: revision`). One call has a store at a time; which store may serve again, and for how long, is decided here.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use wasmtime::{Store, component::ResourceTable};
use wasmtime_wasi_http::p2::{
    bindings::{Proxy, ProxyPre},
    body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody},
    types::{
        HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingResponse,
        HostResponseOutparam,
    },
};

use crate::{Isolation, Recycle, host::Host, limits};

/// Compiled code, and the stores of it that wait. They go when the code goes.
pub(crate) struct Loaded {
    pub(crate) code: ProxyPre<Host>,
    pub(crate) warm: Arc<Warm>,
}

impl Loaded {
    /// `awaited` counts the calls of the node that wait for a place.
    pub(crate) fn new(code: ProxyPre<Host>, isolation: Isolation, awaited: Arc<AtomicU32>) -> Self {
        let recycle = match isolation {
            Isolation::Request => None,
            Isolation::Revision(recycle) => Some(recycle),
        };
        Self { code, warm: Arc::new(Warm { recycle, awaited, stores: Mutex::default() }) }
    }
}

/// A place for a store among those of the node and of the revision, for as long as it lives.
pub(crate) struct Seat {
    live: Arc<AtomicU32>,
    _room: OwnedSemaphorePermit,
}

impl Seat {
    pub(crate) fn new(live: &Arc<AtomicU32>, room: OwnedSemaphorePermit) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self { live: live.clone(), _room: room }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A store, and the component in it once it is instantiated. Fields are dropped in their order: the place is given up last.
pub(crate) struct Instance {
    pub(crate) store: Store<Host>,
    pub(crate) proxy: Option<Proxy>,
    served: Served,
    _seat: Seat,
}

/// What a store has behind it.
#[derive(Debug, Clone, Copy)]
struct Served {
    born: Instant,
    calls: u32,
    last: Instant,
}

impl Instance {
    /// A fresh store in this place.
    pub(crate) fn fresh(store: Store<Host>, born: Instant, seat: Seat) -> Self {
        Self { store, proxy: None, served: Served { born, calls: 0, last: born }, _seat: seat }
    }
}

/// The stores of one revision that wait.
pub(crate) struct Warm {
    recycle: Option<Recycle>,
    /// Calls of the node that wait for a place.
    awaited: Arc<AtomicU32>,
    /// The one that was used last is last.
    stores: Mutex<Vec<Instance>>,
}

impl Warm {
    /// Whether stores wait at all.
    pub(crate) fn keeps(&self) -> bool {
        self.recycle.is_some()
    }

    /// A store that served before, if one waits.
    pub(crate) fn take(&self) -> Option<Instance> {
        let recycle = self.recycle?;
        let now = Instant::now();
        loop {
            let instance = self.stores().pop()?;
            if now.saturating_duration_since(instance.served.born) < recycle.age {
                return Some(instance);
            }
        }
    }

    /// Takes a store back from a call that ended well, or drops it.
    pub(crate) fn give(&self, mut instance: Instance) {
        let Some(recycle) = self.recycle.filter(|_| instance.proxy.is_some()) else { return };
        let now = Instant::now();
        instance.served = Served { calls: instance.served.calls + 1, last: now, ..instance.served };
        if !may_serve_again(recycle, &mut instance, now) {
            return;
        }
        let mut stores = self.stores();
        let unused =
            stores.first().is_some_and(|first| now.saturating_duration_since(first.served.last) > limits::WARM_TIME);
        let unused = unused.then(|| stores.remove(0));
        stores.push(instance);
        // Asked while nobody can take the store: a call that begins to wait later sheds it itself.
        let awaited = self.awaited.load(Ordering::SeqCst) > 0;
        drop(stores);
        drop(unused);
        if awaited {
            self.shed();
        }
    }

    /// Drops all that wait, because somebody else needs their places.
    pub(crate) fn shed(&self) {
        let stores = std::mem::take(&mut *self.stores());
        drop(stores);
    }

    fn stores(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_serve_again(recycle: Recycle, instance: &mut Instance, now: Instant) -> bool {
    let Served { born, calls, .. } = instance.served;
    let host = instance.store.data_mut();
    calls < recycle.calls
        && now.saturating_duration_since(born) < recycle.age
        && host.memory.used() <= recycle.memory
        && !host.memory.refused()
        && is_tidy(host.table())
}

/// Whether a guest has let go of everything of its call: what it still holds of a request would be held for as long as the
/// store lives, and be there for the next caller.
fn is_tidy(table: &mut ResourceTable) -> bool {
    let mut kept = 0;
    table.iter_mut().all(|resource| {
        kept += 1;
        kept <= limits::RESOURCES_KEPT
            && !(resource.is::<HostIncomingRequest>()
                || resource.is::<HostIncomingBody>()
                || resource.is::<HostIncomingResponse>()
                || resource.is::<HostFutureIncomingResponse>()
                || resource.is::<HostFutureTrailers>()
                || resource.is::<HostResponseOutparam>()
                || resource.is::<HostOutgoingResponse>()
                || resource.is::<HostOutgoingBody>())
    })
}
