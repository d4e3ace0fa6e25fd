//! The last scale changes of each function, so that `describe` can say when and why it went to zero and back. Separate
//! from metrics, because a gauge forgets why.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weft_eventlog::Clock;
use weft_functions::value::Namespaced;
use weft_runtime::FunctionName;

/// Changes kept for each function: some minutes of a function that goes to zero and back all the time.
pub const CHANGES_MAX: usize = 20;

/// Functions remembered, deleted ones included. Beyond it the one that has been quiet for longest is forgotten.
pub const FUNCTIONS_MAX: usize = 10_000;

/// One change of the number of instances between zero and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleChange {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Of which revision.
    pub revision: Box<str>,
    /// Instances before.
    pub from: u32,
    /// Instances after.
    pub to: u32,
    /// One phrase for people, such as `first request`.
    pub why: Box<str>,
}

/// What changed lately.
pub struct ScaleLog {
    clock: Arc<dyn Clock>,
    functions: Mutex<HashMap<FunctionName, VecDeque<ScaleChange>>>,
}

impl ScaleLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, functions: Mutex::default() }
    }

    /// Notes a change, as `weft_runtime::Observer::scaled` tells it.
    pub fn scaled(&self, function: &FunctionName, revision: &str, from: u32, to: u32, why: &str) {
        let change = ScaleChange { at_ms: self.clock.now_ms(), revision: revision.into(), from, to, why: why.into() };
        let mut functions = self.lock();
        if functions.len() >= FUNCTIONS_MAX && !functions.contains_key(function) {
            forget_quietest(&mut functions);
        }
        let changes = functions.entry(function.clone()).or_default();
        if changes.len() == CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// The last changes of a function, oldest first.
    pub fn last(&self, function: &Namespaced) -> Vec<ScaleChange> {
        let key = FunctionName { namespace: function.namespace.as_str().into(), name: function.name.as_str().into() };
        self.lock().get(&key).map(|changes| changes.iter().cloned().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FunctionName, VecDeque<ScaleChange>>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_quietest(functions: &mut HashMap<FunctionName, VecDeque<ScaleChange>>) {
    let last = |changes: &VecDeque<ScaleChange>| changes.back().map_or(0, |change| change.at_ms);
    let quietest = functions.iter().min_by_key(|(_, changes)| last(changes)).map(|(name, _)| name.clone());
    if let Some(name) = quietest {
        functions.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_kept_and_no_more() {
        let log = ScaleLog::new(Arc::new(weft_eventlog::SystemClock));
        let name = FunctionName { namespace: "shop".into(), name: "billing".into() };
        for n in 0..=CHANGES_MAX {
            log.scaled(&name, "billing-00001", u32::from(n % 2 == 1), u32::from(n % 2 == 0), &format!("change {n}"));
        }
        let last = log.last(&"shop/billing".parse().expect("a name"));
        assert_eq!(last.len(), CHANGES_MAX);
        assert_eq!(&*last[0].why, "change 1");
        assert_eq!((last[0].from, last[0].to), (1, 0));
        assert_eq!(log.last(&"default/billing".parse().expect("a name")), []);
    }

    #[test]
    fn functions_are_bounded() {
        let log = ScaleLog::new(Arc::new(weft_eventlog::SystemClock));
        for n in 0..FUNCTIONS_MAX + 5 {
            let name = FunctionName { namespace: "default".into(), name: format!("f{n}").into() };
            log.scaled(&name, "f-00001", 0, 1, "first request");
        }
        assert_eq!(log.lock().len(), FUNCTIONS_MAX);
    }
}
