//! What a guest sees of the world: the state behind its imports, with every cap in place. One `Host` belongs to one store
//! and is dropped with it.

pub(crate) mod http;
pub(crate) mod link;
pub(crate) mod memory;
pub(crate) mod stdio;

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::{http::Hooks, memory::Memory, stdio::GuestLog};
use crate::{GuestStream, limits};

/// State of one store.
pub(crate) struct Host {
    /// Made when a guest first uses clocks, random, environment or stdio: many never do, and it seeds two generators.
    wasi: Option<WasiCtx>,
    env: Arc<[(String, String)]>,
    log: Arc<GuestLog>,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    /// The memory limit; read after a trap to tell whether memory was refused.
    pub(crate) memory: Memory,
}

impl Host {
    /// The state of a new store.
    pub(crate) fn new(env: Arc<[(String, String)]>, log: Arc<GuestLog>, hooks: Hooks, memory: Memory) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::FIELDS_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCES);
        Self { wasi: None, env, log, http, hooks, table, memory }
    }

    /// The way out for another call in the same store.
    pub(crate) fn go_out_by(&mut self, hooks: Hooks) {
        self.hooks = hooks;
    }

    /// The table of the guest's resources.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// No arguments, no preopened directory, no socket, no name lookup: only what is set here.
fn context(env: &[(String, String)], log: &Arc<GuestLog>) -> WasiCtx {
    WasiCtxBuilder::new()
        .envs(env)
        .stdout(log.stream(GuestStream::Stdout))
        .stderr(log.stream(GuestStream::Stderr))
        .max_random_size(limits::RANDOM_BYTES)
        .socket_addr_check(|_, _| Box::pin(async { false }))
        .allow_ip_name_lookup(false)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi, env, log, table, .. } = self;
        WasiCtxView { ctx: wasi.get_or_insert_with(|| context(env, log)), table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
