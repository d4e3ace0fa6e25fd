//! `weft` as a person runs it: words in, exit code and two streams out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::modules;

/// How long a command may take: `deploy` waits for a compilation.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that ended.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Progress and errors.
    pub stderr: String,
}

impl Run {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the command succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// Runs `weft` with `words` in `folder`, against the node at `admin` if there is one.
pub async fn run(words: &[&str], folder: &Path, admin: Option<SocketAddr>, input: &[u8]) -> Run {
    let mut command = Command::new(modules::weft());
    command.args(words).current_dir(folder).env_remove("WEFT_ADMIN");
    if let Some(admin) = admin {
        command.env("WEFT_ADMIN", format!("http://{admin}"));
    }
    finish(command, input).await
}

/// Runs any command to its end.
pub async fn finish(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("standard input");
    let input = input.to_vec();
    let output = tokio::time::timeout(PATIENCE, async move {
        // A command that does not read its input is not an error.
        let _ = stdin.write_all(&input).await;
        drop(stdin);
        child.wait_with_output().await
    });
    let output = output.await.unwrap_or_else(|_| panic!("{command:?} does not end")).expect("the command's output");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
