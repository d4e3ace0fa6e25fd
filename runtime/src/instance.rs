//! One call in one store: made for it and dropped with it, unless the revision lets calls share stores. The guest runs in a
//! task of its own; the caller holds the two ends that matter: the head of the response, and the word that it still wants it.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use wasmtime::{PoolConcurrencyLimitError, Store, component::ResourceTable};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        body::{HostOutgoingBody, HyperOutgoingBody, StreamContext},
    },
};

use crate::{
    Body, BodyError, BodyErrorKind, InvokeError, Limits, Outbound, OutboundError, OutboundTimeouts,
    engine::Engine,
    host::{Host, http as outgoing, memory::Memory, stdio::GuestLog},
    limits,
    meter::{Lane, Meter, OutOfCpu},
    response::{Ending, Finish},
    warm::{Instance, Loaded, Seat},
};

/// Bytes of a trap's text that are kept.
const TRAP_TEXT_BYTES: usize = 512;

/// What all calls of a revision have in common.
pub(crate) struct Setup {
    pub(crate) engine: Arc<Engine>,
    pub(crate) limits: Limits,
    pub(crate) env: Arc<[(String, String)]>,
    pub(crate) log: Arc<GuestLog>,
    /// Stores that live now.
    pub(crate) live: Arc<AtomicU32>,
    /// Guests that trapped or were stopped for using too much.
    pub(crate) traps: AtomicU64,
    /// Becomes true when what still runs has to end.
    pub(crate) cut: watch::Receiver<bool>,
}

impl Setup {
    /// A fresh store with every limit set.
    pub(crate) fn store(&self, outbound: Arc<dyn Outbound>) -> Store<Host> {
        let hooks = outgoing::Hooks::new(outbound);
        let memory = Memory::new(self.limits.memory);
        let host = Host::new(self.env.clone(), self.log.clone(), hooks, memory);
        let mut store = Store::new(self.engine.wasm(), host);
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// The same store for another call, whose limits begin anew.
    fn again(store: &mut Store<Host>, outbound: Arc<dyn Outbound>) {
        store.data_mut().go_out_by(outgoing::Hooks::new(outbound));
        store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
    }
}

impl Instance {
    fn begin(begin: Begin, setup: &Setup, outbound: Arc<dyn Outbound>, now: Instant) -> Self {
        match begin {
            Begin::Fresh(seat) => Self::fresh(setup.store(outbound), now, seat),
            Begin::Again(mut instance) => {
                Setup::again(&mut instance.store, outbound);
                *instance
            }
        }
    }
}

/// What a call runs in.
pub(crate) enum Begin {
    /// A store that will be made, and its place.
    Fresh(Seat),
    /// One that served before.
    Again(Box<Instance>),
}

/// A guest under way.
pub(crate) struct Guest {
    /// The head of its response, or why there is none.
    pub(crate) head: oneshot::Receiver<Result<Head, InvokeError>>,
    /// Dropped, the guest ends.
    pub(crate) finish: Finish,
    /// Why it ended, for a body that is cut short.
    pub(crate) ending: Ending,
}

/// The beginning of a response.
pub(crate) struct Head {
    pub(crate) response: Response<HyperOutgoingBody>,
    /// How long it took to make the store and the instance.
    pub(crate) instantiate: Duration,
}

type HeadSlot = Arc<Mutex<Option<oneshot::Sender<Result<Head, InvokeError>>>>>;

/// Whether it was the first, which alone counts.
fn send_head(slot: &HeadSlot, head: Result<Head, InvokeError>) -> bool {
    let sender = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let first = sender.is_some();
    if let Some(sender) = sender {
        let _ = sender.send(head); // a caller that went away needs no head
    }
    first
}

/// Starts a guest on this request. `held` is dropped after the store is.
pub(crate) fn start(
    setup: &Arc<Setup>,
    loaded: &Arc<Loaded>,
    begin: Begin,
    request: Request<Body>,
    outbound: Arc<dyn Outbound>,
    held: impl Send + 'static,
) -> Guest {
    let (head_sender, head) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    let (ending, heavy) = (Ending::default(), Arc::new(AtomicBool::new(false)));
    let slot: HeadSlot = Arc::new(Mutex::new(Some(head_sender)));
    let (setup, loaded, engine) = (setup.clone(), loaded.clone(), setup.engine.clone());
    let work = {
        let (ending, heavy) = (ending.clone(), heavy.clone());
        async move {
            let started = Instant::now();
            let mut instance = Instance::begin(begin, &setup, outbound, started);
            let end = {
                let call = pin!(serve(&mut instance, &loaded.code, request, &slot, started));
                until_end(&setup, call, finished, started, &heavy).await
            };
            let end = end.named(instance.store.data().memory.refused());
            if matches!(end, End::Trapped(_) | End::Cpu | End::Memory) {
                setup.traps.fetch_add(1, Ordering::Relaxed);
            }
            // First the reason, then the ends of the bodies, so that whoever reads the one finds the other.
            let _ = ending.set(end.cut_body());
            let abandoned = abandon_bodies(instance.store.data_mut().table());
            let silent = send_head(&slot, Err(end.no_head()));
            match end {
                End::Returned if !abandoned && !silent => loaded.warm.give(instance),
                _ => drop(instance),
            }
            drop(held);
        }
    };
    tokio::spawn(Lane::new(work, heavy, engine));
    Guest { head, finish, ending }
}

/// Instantiates once and calls nothing: whether the component can be started at all.
pub(crate) async fn trial(setup: &Arc<Setup>, code: &ProxyPre<Host>) -> Result<(), End> {
    let (done, result) = oneshot::channel();
    let heavy = Arc::new(AtomicBool::new(false));
    let (setup, code, engine, is_heavy) = (setup.clone(), code.clone(), setup.engine.clone(), heavy.clone());
    let work = async move {
        let mut store = setup.store(Arc::new(NoWayOut));
        let end = {
            let instantiate = pin!(code.instantiate_async(&mut store));
            let metered = pin!(AssertUnwindSafe(Meter::new(instantiate, setup.limits.cpu, &is_heavy)).catch_unwind());
            match timeout(limits::TRIAL_TIME, metered).await {
                Ok(Ok(Ok(Ok(_)))) => Ok(()),
                Ok(Ok(Ok(Err(error)))) => Err(End::of(&error)),
                Ok(Ok(Err(OutOfCpu))) => Err(End::Cpu),
                Ok(Err(_panic)) => Err(End::Trapped("a host function panicked".to_owned())),
                Err(_elapsed) => Err(End::Late),
            }
        };
        let end = end.map_err(|end| end.named(store.data().memory.refused()));
        drop(store); // before the deploy gives up its room
        let _ = done.send(end); // the deploy may have been given up
    };
    tokio::spawn(Lane::new(work, heavy, engine));
    result.await.unwrap_or(Err(End::Cut))
}

/// What a guest finds that calls out before it was ever invoked.
struct NoWayOut;

#[async_trait]
impl Outbound for NoWayOut {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Denied)
    }
}

/// Instantiates and calls the handler.
async fn serve(
    instance: &mut Instance,
    code: &ProxyPre<Host>,
    request: Request<Body>,
    slot: &HeadSlot,
    started: Instant,
) -> wasmtime::Result<()> {
    let Instance { store, proxy, .. } = instance;
    let proxy = match proxy {
        Some(proxy) => proxy,
        None => proxy.insert(code.instantiate_async(&mut *store).await?),
    };
    let instantiate = started.elapsed();
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let request = request.map(|body| body.map_err(outgoing::request_body_error).boxed_unsync());
    let request = store.data_mut().http().new_incoming_request(scheme, request)?;
    let slot = slot.clone();
    let out = store.data_mut().http().new_response_outparam_from_callback(move |result| {
        let head = match result {
            Ok(response) => Ok(Head { response, instantiate }),
            Err(code) => Err(InvokeError::BadResponse(format!("it answered with the error {code:?}"))),
        };
        send_head(&slot, head);
    })?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
}

/// Runs the call until it ends, or has to end.
async fn until_end(
    setup: &Setup,
    call: std::pin::Pin<&mut impl Future<Output = wasmtime::Result<()>>>,
    finished: oneshot::Receiver<()>,
    started: Instant,
    heavy: &AtomicBool,
) -> End {
    let Limits { cpu, timeout, stream, idle, .. } = setup.limits;
    let mut call = pin!(AssertUnwindSafe(Meter::new(call, cpu, heavy)).catch_unwind());
    let mut cut = setup.cut.clone();
    let mut cut = pin!(cut.wait_for(|cut| *cut));
    // The caller's timers are more exact, but run only while somebody reads.
    let mut time = pin!(sleep_until(started + timeout + stream));
    let (mut finished, mut complete) = (pin!(finished), false);
    loop {
        tokio::select! {
            biased;
            word = &mut finished, if !complete => match word {
                Ok(()) => {
                    complete = true;
                    time.as_mut().reset(Instant::now() + idle);
                }
                Err(_) => return End::Unwanted,
            },
            // Before the timer, which most calls never need: it yields at each tick.
            result = &mut call => return match result {
                Ok(Ok(Ok(()))) => End::Returned,
                Ok(Ok(Err(error))) => End::of(&error),
                Ok(Err(OutOfCpu)) => End::Cpu,
                Err(_panic) => End::Trapped("a host function panicked".to_owned()),
            },
            () = &mut time => return End::Late,
            _ = &mut cut => return End::Cut,
        }
    }
}

/// A body that a guest did not finish is cut short, also when the guest is no more. (Dropping one with its store
/// would end it as if it were complete.) Whether there was one.
fn abandon_bodies(table: &mut ResourceTable) -> bool {
    let mut some = false;
    for resource in table.iter_mut() {
        if let Some(body) = resource.downcast_mut::<HostOutgoingBody>() {
            let (nothing, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
            std::mem::replace(body, nothing).abort();
            some = true;
        }
    }
    some
}

/// How a guest's run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The handler returned.
    Returned,
    /// The guest called `exit`.
    Exited(i32),
    /// It trapped.
    Trapped(String),
    /// It used up its processor time.
    Cpu,
    /// It was refused memory and failed.
    Memory,
    /// The pool of instances has no room for it.
    Full,
    /// It ran longer than any of its limits allows.
    Late,
    /// Nobody wants the response any more.
    Unwanted,
    /// The runtime ended what was left.
    Cut,
}

impl End {
    /// What an error of instantiation or of a call means.
    pub(crate) fn of(error: &wasmtime::Error) -> Self {
        if let Some(I32Exit(status)) = error.downcast_ref() {
            return Self::Exited(*status);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Full;
        }
        let mut text = error.root_cause().to_string();
        let mut end = text.len().min(TRAP_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        Self::Trapped(text)
    }

    /// A trap after memory was refused is a lack of memory: guests abort when an allocation fails.
    pub(crate) fn named(self, memory_refused: bool) -> Self {
        match self {
            Self::Trapped(_) if memory_refused => Self::Memory,
            other => other,
        }
    }

    /// What the caller gets if no head was sent.
    fn no_head(&self) -> InvokeError {
        match self {
            Self::Returned => InvokeError::BadResponse("it returned without setting a response".to_owned()),
            Self::Exited(status) => InvokeError::BadResponse(format!("it exited with {status} before a response")),
            Self::Trapped(text) => InvokeError::Trap(text.clone()),
            Self::Cpu => InvokeError::Cpu,
            Self::Memory => InvokeError::Memory,
            Self::Full => InvokeError::QueueFull,
            Self::Late => InvokeError::Timeout,
            Self::Unwanted | Self::Cut => InvokeError::Cancelled,
        }
    }

    /// What the reader of a body that was cut short gets.
    fn cut_body(&self) -> BodyError {
        let (kind, message) = match self {
            Self::Returned => {
                (BodyErrorKind::Guest, "the function returned and left its response unfinished".to_owned())
            }
            Self::Exited(status) => {
                (BodyErrorKind::Guest, format!("the function exited with {status} in its response"))
            }
            Self::Trapped(text) => (BodyErrorKind::Guest, format!("the function trapped in its response: {text}")),
            Self::Cpu => (BodyErrorKind::Guest, "the function used up its processor time in its response".to_owned()),
            Self::Memory => (BodyErrorKind::Guest, "the function needs more memory than its limit".to_owned()),
            Self::Late => (BodyErrorKind::TimedOut, "the response took longer than limits.stream".to_owned()),
            Self::Full | Self::Unwanted | Self::Cut => (BodyErrorKind::Aborted, "the call was cancelled".to_owned()),
        };
        BodyError::new(kind, message)
    }
}
