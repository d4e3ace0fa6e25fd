//! A child process whose output is collected while it runs, and which never outlives the test.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often an ending process is looked at.
const STEP: Duration = Duration::from_millis(10);

/// What a stream of the process said so far.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// All of it, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Reads the stream on a thread of its own until it ends: a full pipe would stop the process.
    fn collect(mut stream: impl Read + Send + 'static) -> Self {
        let said = Self::default();
        let into = said.clone();
        thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                into.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
            }
        });
        said
    }
}

/// A running process. Dropped, it is told to end, and killed if it does not.
pub struct Process {
    child: Child,
    /// Standard output so far.
    pub stdout: Said,
    /// Standard error so far.
    pub stderr: Said,
}

impl Process {
    /// Starts a command.
    pub fn spawn(mut command: Command) -> Self {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().map(Said::collect).unwrap_or_default();
        let stderr = child.stderr.take().map(Said::collect).unwrap_or_default();
        Self { child, stdout, stderr }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit code if the process has ended; -1 stands for a signal.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("the state of a child").map(|status| status.code().unwrap_or(-1))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        // A process that has ended already is not an error.
        let _ = kill_process(pid, signal);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if self.ended().is_some() {
                break;
            }
            thread::sleep(STEP);
        }
        self.kill();
        if thread::panicking() {
            eprintln!("--- the log of process {} ---\n{}", self.id(), self.stderr.text());
        }
    }
}
