//! Bytes of events in flight to all targets together. Who waits for room gets it by what it holds already: the namespace
//! that holds least first, within it the trigger that holds least. And nobody takes all: a namespace holds at most half, a
//! trigger a quarter, so that targets that take their time do not leave the others without.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use weft_functions::value::{Name, Namespaced};

/// The budget of the node: 64 MiB hold 64 events of the largest size, and the default `inFlight` of 4,096 triggers with
/// events of 1 KiB.
pub(super) const IN_FLIGHT_KIB: u32 = 64 * 1024;

/// The budget, and who waits for some of it.
pub(super) struct Budget {
    total: u32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    held: u32,
    by_namespace: HashMap<Name, u32>,
    by_trigger: HashMap<Namespaced, u32>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

struct Waiting {
    trigger: Namespaced,
    kib: u32,
    grant: oneshot::Sender<Share>,
}

/// A part of the budget; free again when it is dropped.
pub(super) struct Share {
    budget: Arc<Budget>,
    trigger: Namespaced,
    kib: u32,
}

impl Budget {
    pub(super) fn new(total: u32) -> Arc<Self> {
        Arc::new(Self { total, inner: Mutex::default() })
    }

    /// Room for so many KiB of a trigger's events; more than a trigger may hold counts as that. Waits until there is some;
    /// a wait that is given up takes nothing.
    pub(super) async fn take(self: &Arc<Self>, trigger: &Namespaced, kib: usize) -> Option<Share> {
        let kib = u32::try_from(kib).unwrap_or(u32::MAX).clamp(1, self.total / 4);
        let (grant, granted) = oneshot::channel();
        self.inner().waiting.push(Waiting { trigger: trigger.clone(), kib, grant });
        self.serve();
        // The sender stays in the list until it has sent.
        granted.await.ok()
    }

    /// Hands out what is free.
    fn serve(self: &Arc<Self>) {
        loop {
            let next = {
                let mut inner = self.inner();
                let Some(at) = inner.next(self.total) else { return };
                let Waiting { trigger, kib, grant } = inner.waiting.remove(at);
                if !grant.is_closed() {
                    inner.add(&trigger, kib);
                    Some((grant, Share { budget: self.clone(), trigger, kib }))
                } else {
                    None
                }
            };
            if let Some((grant, share)) = next {
                // Whoever left in this moment drops the share, which frees it.
                let _left = grant.send(share);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.inner().remove(&self.trigger, self.kib);
        self.budget.serve();
    }
}

impl Inner {
    /// Who is to be served next, if there is room for it. The one whose turn it is waits for its room, however large, and
    /// is not overtaken by small ones.
    fn next(&self, total: u32) -> Option<usize> {
        let held = |waiting: &Waiting| {
            let namespace = self.by_namespace.get(&waiting.trigger.namespace).copied().unwrap_or(0);
            (namespace, self.by_trigger.get(&waiting.trigger).copied().unwrap_or(0))
        };
        let may = |waiting: &Waiting| {
            let (namespace, trigger) = held(waiting);
            namespace + waiting.kib <= total / 2 && trigger + waiting.kib <= total / 4
        };
        let candidates =
            self.waiting.iter().enumerate().filter(|(_, waiting)| may(waiting) || waiting.grant.is_closed());
        // The first of equals is the one that came first.
        let (at, next) = candidates.min_by_key(|(_, waiting)| held(waiting))?;
        (self.held + next.kib <= total || next.grant.is_closed()).then_some(at)
    }

    fn add(&mut self, trigger: &Namespaced, kib: u32) {
        self.held += kib;
        *self.by_namespace.entry(trigger.namespace.clone()).or_default() += kib;
        *self.by_trigger.entry(trigger.clone()).or_default() += kib;
    }

    fn remove(&mut self, trigger: &Namespaced, kib: u32) {
        self.held -= kib;
        less(&mut self.by_namespace, &trigger.namespace, kib);
        less(&mut self.by_trigger, trigger, kib);
    }
}

fn less<K: std::hash::Hash + Eq>(held: &mut HashMap<K, u32>, who: &K, kib: u32) {
    if let Some(left) = held.get_mut(who) {
        *left -= kib;
        if *left == 0 {
            held.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt;

    use super::*;

    fn trigger(text: &str) -> Namespaced {
        text.parse().expect("a name")
    }

    /// The share, if there is one at once.
    fn now(budget: &Arc<Budget>, of: &str, kib: usize) -> Option<Share> {
        budget.take(&trigger(of), kib).now_or_never().flatten()
    }

    #[test]
    fn nobody_takes_all() {
        let budget = Budget::new(100);
        let one: Vec<_> = std::iter::from_fn(|| now(&budget, "a/one", 5)).collect();
        assert_eq!(one.len(), 5, "a trigger holds a quarter");
        let two: Vec<_> = std::iter::from_fn(|| now(&budget, "a/two", 5)).collect();
        assert_eq!((two.len(), now(&budget, "a/three", 1).is_some()), (5, false), "a namespace holds half");
        let others = ["b/one", "b/two"].map(|of| std::iter::from_fn(|| now(&budget, of, 5)).collect::<Vec<_>>());
        assert_eq!(others.each_ref().map(Vec::len), [5, 5]);
        assert!(now(&budget, "c/one", 1).is_none(), "all of it is taken");
        drop((one, two, others));
        assert!(now(&budget, "c/one", 1).is_some());
        assert!(now(&budget, "d/one", 1_000).is_some(), "what is larger than a quarter counts as that");
        assert_eq!(budget.inner().held, 0, "all is free again: {:?}", budget.inner().by_namespace);
    }

    #[tokio::test]
    async fn who_holds_least_is_served_first() {
        let budget = Budget::new(100);
        let mut held: VecDeque<_> = ["a/one", "a/two", "b/one", "b/two"]
            .into_iter()
            .flat_map(|of| std::iter::repeat_with(move || of).take(5))
            .map(|of| now(&budget, of, 5).expect("room"))
            .collect();
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut tasks = tokio::task::JoinSet::new();
        for of in ["a/one", "a/one", "b/one", "c/one", "c/two"] {
            let (budget, order) = (budget.clone(), order.clone());
            tasks.spawn(async move {
                let share = budget.take(&trigger(of), 5).await;
                order.lock().expect("not poisoned").push(of);
                share
            });
            tokio::task::yield_now().await;
        }
        let mut shares = Vec::new();
        while let Some(freed) = held.pop_front() {
            drop(freed);
            tokio::task::yield_now().await;
            while let Some(share) = tasks.try_join_next() {
                shares.push(share);
            }
        }
        assert_eq!(shares.len(), 5);
        assert_eq!(*order.lock().expect("not poisoned"), ["c/one", "c/two", "a/one", "a/one", "b/one"]);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let budget = Budget::new(100);
        let held = now(&budget, "a/one", 25).expect("room");
        assert!(now(&budget, "a/one", 25).is_none());
        drop(held);
        assert_eq!(budget.inner().held, 0);
        let again: Vec<_> = std::iter::from_fn(|| now(&budget, "a/one", 5)).collect();
        assert_eq!((again.len(), budget.inner().waiting.len()), (5, 1), "the last one that was given up");
        drop(again);
        let inner = budget.inner();
        assert_eq!((inner.held, inner.waiting.len()), (0, 0));
    }
}
