//! What remembers decisions and explains them: the records of a node, and the task that writes refusals down. Together
//! because the two ends of that way are made at different times of a start.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weft_eventlog::{Clock, EventLog};

use super::key;
use crate::control::explain::Explainer;
use crate::control::refusals::RefusalLog;
use crate::path::Mesh;
use crate::path::decision::DecisionIds;
use crate::path::record::Records;
use crate::path::refusals::Refusals;
use crate::telemetry::metrics::Metrics;

/// Refused decisions on their way to the disk.
pub(super) type Refused = mpsc::Receiver<u64>;

/// The records of a node whose data is in `data`.
///
/// # Errors
/// The key of its ids cannot be read or made.
pub(super) fn records(
    data: &Path,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Records, Refused)> {
    let ids = DecisionIds::new(key::read_or_make(&data.join("decision.key"))?, key::random()?);
    let (refusals, refused) = Refusals::new(metrics.clone());
    Ok((Records::new(ids, metrics.clone(), clock.clone(), refusals), refused))
}

/// Explains, and writes refusals down.
pub(super) struct Explaining {
    /// What explains.
    pub(super) explainer: Arc<Explainer>,
    stop: CancellationToken,
    writes: JoinHandle<()>,
}

impl Explaining {
    /// Begins to write what `refused` brings.
    ///
    /// # Errors
    /// The event log cannot open the journal.
    pub(super) async fn start(mesh: &Arc<Mesh>, log: &dyn EventLog, refused: Refused) -> anyhow::Result<Self> {
        let written = Arc::new(RefusalLog::open(log).await?);
        let explainer = Arc::new(Explainer::new(mesh.clone(), written.clone()));
        let (explains, stop) = (explainer.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let writes = tokio::spawn(async move {
            let explain = |number| serde_json::to_string(&explains.by_number(number)?).ok();
            written.write(refused, explain, stopped).await;
        });
        Ok(Self { explainer, stop, writes })
    }

    /// Writes what has come, and no more.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.writes.await {
            tracing::error!(%error, "writing refusals down did not end cleanly");
        }
    }
}
