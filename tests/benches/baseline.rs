//! The least a server of functions can do: hyper and wasmtime-wasi-http, a fresh store for each request, with the engine
//! settings that were found best for that (they are weft's too), and nothing else: no routes, identity, policy, record,
//! deadline, limit or queue. What weft takes longer than this, weft itself costs.
//!
//! How far it stands for the real thing: `wasmtime serve` 48.0.8 (cargo install, release), on the same module in the same
//! run of `tests/bench http`, took 92 us of processor time for each request with its best flags and 128 with its
//! defaults, where this took 48. So this is the harder mark; `serve` supports concurrent tasks in a store, which this turns
//! off, and makes more for each request. Set WASMTIME to have the real one measured too.

use std::path::Path;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// What a used slot of the pool keeps resident, in bytes: of its memory, and of its table and stack.
const KEEP_MEMORY: usize = 512 << 10;
const KEEP_SMALL: usize = 64 << 10;

/// A store's state. The context of wasi:cli and its like is made when the guest first asks for it.
struct Guest {
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: NoWayOut,
}

/// The guest that is measured calls nobody.
struct NoWayOut;

type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoWayOut {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Worker,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Worker), Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get_or_insert_with(|| WasiCtx::builder().build()), table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Where the code of a request comes from.
enum Code {
    Loaded(ProxyPre<Guest>),
    /// Mapped from this artifact for each request, and dropped after it.
    Cold(Engine, Box<Linker<Guest>>, tempfile::NamedTempFile),
}

impl Code {
    fn get(&self) -> wasmtime::Result<ProxyPre<Guest>> {
        match self {
            Self::Loaded(code) => Ok(code.clone()),
            Self::Cold(engine, linker, artifact) => {
                #[expect(unsafe_code, reason = "JUSTIFICATION: a cold start is what is measured")]
                // SAFETY: this process wrote the file a moment ago with the same engine, into a folder of its own.
                let component = unsafe { Component::deserialize_file(engine, artifact.path()) }?;
                ProxyPre::new(linker.instantiate_pre(&component)?)
            }
        }
    }
}

fn code(module: &Path, cold: bool) -> wasmtime::Result<Code> {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_SMALL)
        .async_stack_keep_resident(KEEP_SMALL)
        .max_unused_warm_slots(100)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).concurrency_support(false);
    let engine = Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let component = Component::from_file(&engine, module)?;
    if !cold {
        return Ok(Code::Loaded(ProxyPre::new(linker.instantiate_pre(&component)?)?));
    }
    let artifact = tempfile::NamedTempFile::new()?;
    std::fs::write(artifact.path(), component.serialize()?)?;
    Ok(Code::Cold(engine, Box::new(linker), artifact))
}

/// Serves `module` until it is killed. Says its address first.
pub(crate) async fn serve(module: &Path, cold: bool) {
    let code = Arc::new(code(module, cold).expect("a component of wasi:http"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let code = code.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(code.clone(), request));
            // A client that hangs up is done.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(code: Arc<Code>, request: Request<Incoming>) -> Result<Response<HyperOutgoingBody>, wasmtime::Error> {
    let (head, answered) = oneshot::channel();
    // On a task of its own: the guest may go on with the body after the head is out.
    let guest = tokio::spawn(async move {
        let code = code.get()?;
        let state = Guest { wasi: None, http: WasiHttpCtx::new(), table: ResourceTable::new(), hooks: NoWayOut };
        let mut store = Store::new(code.engine(), state);
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(head)?;
        let proxy = code.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
    });
    match answered.await {
        Ok(answer) => Ok(answer?),
        Err(_no_head) => Err(match guest.await {
            Ok(Err(error)) => error,
            other => wasmtime::Error::msg(format!("the guest gave no answer: {other:?}")),
        }),
    }
}
