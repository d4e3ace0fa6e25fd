//! `weft job`: redrives and replays as they go on; and what the two commands that begin them share.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use weft_functions::cesql::Expression;
use weft_functions::value::Namespaced;

use super::client::Admin;
use super::failure::wrong;
use super::resource::{cell, text};
use super::{Global, table, terminal};

/// How often a job that is watched is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `weft job …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum JobCommand {
    /// List jobs, newest first
    List,
    /// Watch a job until it is over; exit 0 only if it is done
    Watch(JobArgs),
    /// Stop a job; what it has handed in is still delivered
    Stop(JobArgs),
}

/// Which job.
#[derive(Debug, clap::Args)]
pub(super) struct JobArgs {
    /// The job's id, such as j-1; the newest when left out
    id: Option<String>,
}

/// What every command takes that begins a job.
#[derive(Debug, clap::Args)]
pub(super) struct Begin {
    /// Only events for which this CESQL expression is true
    #[arg(long = "where", value_name = "CESQL")]
    filter: Option<String>,
    /// Events per second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Wait until the job is over; exit 0 only if it is done
    #[arg(long)]
    pub(super) wait: bool,
}

impl Begin {
    /// What is asked of the node, as far as this says it.
    pub(super) fn ask(&self) -> anyhow::Result<Value> {
        let mut ask = json!({ "rate": self.rate });
        if let Some(filter) = &self.filter {
            ask["where"] = expression(filter)?.into();
        }
        Ok(ask)
    }
}

/// An expression that can be read, or what is wrong with it.
pub(super) fn expression(text: &str) -> anyhow::Result<&str> {
    Expression::parse(text).map_err(|error| wrong(format!("--where: {error}")))?;
    Ok(text)
}

/// Begins a job, says which, and waits for it if it should.
pub(super) async fn begin(
    kind: &str,
    trigger: &Namespaced,
    ask: &Value,
    wait: bool,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let admin = global.client()?;
    let job = admin.begin_job(kind, trigger, ask).await?;
    if wait {
        let id = text(&job, "/id").unwrap_or_default();
        return watch(&admin, &id, global).await;
    }
    if global.json() {
        terminal::say_json(&job)?;
    } else {
        terminal::say(&cell(&job, "/id"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(command: &JobCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let admin = global.client()?;
    match command {
        JobCommand::List => list(&admin, global).await,
        JobCommand::Watch(args) => watch(&admin, &named(&admin, args).await?, global).await,
        JobCommand::Stop(args) => {
            let job = admin.stop_job(&named(&admin, args).await?).await?;
            if global.json() {
                terminal::say_json(&job)?
            } else {
                terminal::say(&line(&job))?
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The job that is meant: the newest, if none is named.
async fn named(admin: &Admin, args: &JobArgs) -> anyhow::Result<String> {
    if let Some(id) = &args.id {
        if !id.strip_prefix("j-").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(wrong(format!("`{}` is no job's id: expected one such as j-1", terminal::harmless(id))));
        }
        return Ok(id.clone());
    }
    let jobs = admin.jobs().await?;
    let newest = jobs.first().and_then(|job| text(job, "/id"));
    newest.ok_or_else(|| anyhow::anyhow!("there is no job: weft dead redrive and weft replay begin one"))
}

async fn list(admin: &Admin, global: &Global) -> anyhow::Result<ExitCode> {
    let jobs = admin.jobs().await?;
    if global.json() {
        terminal::say_json(&json!({ "items": jobs }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let fields = ["/id", "/kind", "/trigger", "/state", "/scanned", "/matched", "/delivered", "/failed", "/begun"];
    let rows: Vec<Vec<String>> = jobs.iter().map(|job| fields.iter().map(|field| cell(job, field)).collect()).collect();
    let header = ["JOB", "KIND", "TRIGGER", "STATE", "SCANNED", "MATCHED", "DELIVERED", "FAILED", "BEGUN"];
    terminal::say(&table::render(&header, &rows))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the job each time it has come further, until it is over.
async fn watch(admin: &Admin, id: &str, global: &Global) -> anyhow::Result<ExitCode> {
    let mut last = Value::Null;
    loop {
        let job = admin.job(id).await?;
        let state = text(&job, "/state").unwrap_or_default();
        let over = matches!(state.as_str(), "done" | "stopped" | "failed");
        if job != last && !global.json() {
            terminal::note(&line(&job));
        }
        if over {
            if global.json() {
                terminal::say_json(&job)?
            } else {
                terminal::say(&cell(&job, "/id"))?
            }
            return Ok(if state == "done" { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        last = job;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `j-1 replay default/out: running, 120 of 400 matched, 118 delivered, 0 failed`
fn line(job: &Value) -> String {
    let field = |name: &str| cell(job, name);
    let mut line = format!(
        "{} {} {}: {}, {} of {} matched, {} delivered, {} failed",
        field("/id"),
        field("/kind"),
        field("/trigger"),
        field("/state"),
        field("/matched"),
        field("/scanned"),
        field("/delivered"),
        field("/failed")
    );
    for (name, words) in [("/repeated", "redriven before"), ("/gone", "gone")] {
        if let Some(count) = text(job, name).filter(|count| count != "0") {
            line += &format!(", {count} {words}");
        }
    }
    if let Some(why) = text(job, "/why") {
        line += &format!(": {why}");
    }
    terminal::harmless(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_one_line() {
        let job = json!({ "id": "j-1", "kind": "replay", "trigger": "default/out", "state": "failed", "scanned": 400,
            "matched": 120, "delivered": 118, "failed": 2, "repeated": 0, "gone": 3, "why": "its trigger is gone" });
        let expect =
            "j-1 replay default/out: failed, 120 of 400 matched, 118 delivered, 2 failed, 3 gone: its trigger is gone";
        assert_eq!(line(&job), expect);
    }

    #[test]
    fn an_expression_is_checked_before_it_is_sent() {
        assert!(expression("amount > 10").is_ok());
        assert!(expression("amount >").is_err());
    }
}
