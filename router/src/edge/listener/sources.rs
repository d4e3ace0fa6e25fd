//! Counts connections per source. Separate because what counts as one source is a decision: an IPv4 address, or the /64
//! that one IPv6 customer gets, since each holds as many addresses as it likes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use tokio::task::Id;

/// Open connections by source. At most one entry per open connection in either table.
#[derive(Debug)]
pub(super) struct Sources {
    limit: usize,
    counts: HashMap<IpAddr, usize>,
    tasks: HashMap<Id, IpAddr>,
}

impl Sources {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, counts: HashMap::new(), tasks: HashMap::new() }
    }

    /// Whether this address may open one more.
    pub(super) fn has_room(&self, addr: IpAddr) -> bool {
        self.counts.get(&source_of(addr)).is_none_or(|count| *count < self.limit)
    }

    /// Counts a connection to its source until its task leaves.
    pub(super) fn enter(&mut self, addr: IpAddr, task: Id) {
        let source = source_of(addr);
        *self.counts.entry(source).or_default() += 1;
        self.tasks.insert(task, source);
    }

    pub(super) fn leave(&mut self, task: Id) {
        let Some(source) = self.tasks.remove(&task) else { return };
        let Some(count) = self.counts.get_mut(&source) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&source);
        }
    }
}

/// What counts as one source.
pub(crate) fn source_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_customer_is_one_source() {
        let check = |a: &str, b: &str, same: bool| {
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(source_of(a) == source_of(b), same, "{a} {b}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8::1", "2001:db8::ffff:1", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }
}
