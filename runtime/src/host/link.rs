//! The imports that are offered to guests, by name and in the linker. Anything else is refused at deploy. Separate,
//! because this list is a promise: to guests what is there, to operators that nothing else is.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::bindings::{self as wasi, cli, clocks, filesystem, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView},
};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView, p2::bindings::http};

use super::Host;

/// The version that all offered interfaces have; any patch version of 0.2 matches (component-model semver).
pub(crate) const VERSION: &str = "0.2";

/// What a function must export, without its version.
pub(crate) const HANDLER: &str = "wasi:http/incoming-handler";

/// All offered interfaces, without their version. Clocks, random, environment, stdout and stderr work; stdin is empty;
/// filesystem, sockets and terminals link, since JavaScript and Python components import them, and are empty or refuse.
pub(crate) const OFFERED: [&str; 29] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Whether an import of this full name, such as `wasi:io/poll@0.2.3`, is offered.
pub(crate) fn is_offered(import: &str) -> bool {
    import.split_once('@').is_some_and(|(name, version)| is_02(version) && OFFERED.contains(&name))
}

/// Whether an export of this full name is the handler a function must have.
pub(crate) fn is_handler(export: &str) -> bool {
    export.split_once('@').is_some_and(|(name, version)| name == HANDLER && is_02(version))
}

/// Whether this is a released 0.2 version: `0.2.12`, and neither `0.3.0` nor `0.2.0-rc-2023-11-10`.
fn is_02(version: &str) -> bool {
    version.strip_prefix("0.2.").is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

/// Where `wasi:io` finds its state: the table alone, so that a guest which only does HTTP needs no WASI context.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Puts all offered interfaces into the linker.
pub(crate) fn offer(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let l = linker;
    wasi::io::error::add_to_linker::<Host, Io>(l, |host| host.table())?;
    wasi::io::poll::add_to_linker::<Host, Io>(l, |host| host.table())?;
    wasi::io::streams::add_to_linker::<Host, Io>(l, |host| host.table())?;

    http::outgoing_handler::add_to_linker::<Host, WasiHttp>(l, Host::http)?;
    http::types::add_to_linker::<Host, WasiHttp>(l, &http::types::LinkOptions::default(), Host::http)?;

    clocks::wall_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks)?;
    random::random::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;

    cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;

    filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    let network = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Host, WasiSockets>(l, &network, Host::sockets)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::tcp::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::udp::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::udp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(import: &str, offered: bool) {
        assert_eq!(is_offered(import), offered, "{import}");
    }

    #[test]
    fn only_released_0_2_interfaces_of_the_list_are_offered() {
        check("wasi:http/types@0.2.0", true);
        check("wasi:http/types@0.2.12", true);
        check("wasi:sockets/udp-create-socket@0.2.3", true);
        check("wasi:http/types@0.3.0", false);
        check("wasi:http/types@0.2.0-rc-2023-11-10", false);
        check("wasi:http/types@0.2", false);
        check("wasi:http/types", false);
        check("wasi:sockets/udp-create-socket", false);
        check("wasi:http/incoming-handler@0.2.0", false);
        check("wasi:keyvalue/store@0.2.0-draft", false);
        check("acme:thing/api@0.2.0", false);
    }

    #[test]
    fn the_handler_is_found_by_name_and_version() {
        assert!(is_handler("wasi:http/incoming-handler@0.2.12"));
        assert!(!is_handler("wasi:http/incoming-handler@0.3.0"));
        assert!(!is_handler("wasi:cli/run@0.2.12"));
    }
}
