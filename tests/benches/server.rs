//! Programs under test: started, moved to a processor of their own, asked how much of it they used, killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use weft_tests::modules;

/// The processor for whatever is measured. tests/bench puts this program on another one.
const CPU: &str = "0";
/// Microseconds of a tick of `/proc/PID/stat`: USER_HZ is 100 on every Linux that Rust knows (proc(5), times(2)).
const TICK_MICROS: f64 = 10_000.0;

/// A server that says its address in its first line.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts this program in a role.
    pub(crate) fn role(words: &[&str]) -> Self {
        let mut child = this().args(words).stdout(Stdio::piped()).spawn().expect("a server");
        let addr = first_line(child.stdout.take().expect("its output"), |line| line.parse().ok());
        pin(child.id());
        Self { child, addr }
    }

    /// Starts a real `wasmtime serve` with these flags, if there is one: `WASMTIME`, or what PATH has.
    pub(crate) fn wasmtime(flags: &[&str], module: &Path) -> Option<Self> {
        let program = std::env::var("WASMTIME").unwrap_or_else(|_| "wasmtime".to_owned());
        let mut command = Command::new(program);
        command.args(["serve", "-Scli", "--addr", "127.0.0.1:0"]).args(flags).arg(module);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        let said = |line: &str| line.split_once("http://")?.1.trim_end_matches('/').parse().ok();
        let addr = first_line(child.stderr.take().expect("its output"), said);
        pin(child.id());
        Some(Self { child, addr })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of a program's output that `read` understands; the rest is read and dropped.
fn first_line(output: impl std::io::Read + Send + 'static, read: impl Fn(&str) -> Option<SocketAddr>) -> SocketAddr {
    let mut lines = BufReader::new(output).lines();
    let found = lines.by_ref().map_while(Result::ok).find_map(|line| read(&line));
    std::thread::spawn(move || lines.for_each(drop));
    found.expect("a server that says its address")
}

/// This program.
fn this() -> Command {
    Command::new(std::env::current_exe().expect("this program's path"))
}

/// Runs this program in a role that measures itself, on the processor of what is measured, and gives its output.
pub(crate) fn program(words: &[&str]) -> String {
    let executable = std::env::current_exe().expect("this program's path");
    let output = Command::new("taskset").args(["-c", CPU]).arg(executable).args(words).output().expect("taskset");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Moves all threads of a process to the processor of what is measured.
pub(crate) fn pin(pid: u32) {
    let moved = Command::new("taskset").args(["-a", "-p", "-c", CPU, &pid.to_string()]).output();
    assert!(moved.expect("taskset").status.success(), "cannot move process {pid} to processor {CPU}");
}

/// Microseconds of processor time that a process has used, in user and in kernel mode, to 10 ms.
pub(crate) fn cpu_micros(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    // The name, in parentheses, may contain anything; utime and stime are fields 14 and 15 (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a stat line").1.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks");
    (ticks(14) + ticks(15)) * TICK_MICROS
}

/// The guest whose answers are measured.
pub(crate) fn module() -> String {
    modules::guest("hello").to_str().expect("a path in UTF-8").to_owned()
}
