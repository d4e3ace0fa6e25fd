//! The memory limit of one store: the sum over all linear memories, and the sizes of tables. Separate, because whether
//! memory was ever refused decides later how a trap is named.

use wasmtime::ResourceLimiter;

use crate::limits;

/// Counts what a store's memories take. A growth beyond the limit answers -1 to the guest, as the specification says.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    limit: u64,
    used: u64,
    /// What the growth under way added; taken back when it fails.
    growing: u64,
    refused: bool,
}

impl Memory {
    /// A limit in bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Bytes of all memories together.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Whether the guest was ever refused memory.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refused = true;
            return Ok(false);
        }
        (self.used, self.growing) = (wanted, more);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.used -= std::mem::take(&mut self.growing);
        self.refused = true;
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        usize::try_from(limits::CORE_INSTANCES).unwrap_or(usize::MAX)
    }

    fn tables(&self) -> usize {
        usize::try_from(limits::TABLES).unwrap_or(usize::MAX)
    }

    fn memories(&self) -> usize {
        usize::try_from(limits::MEMORIES).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_sum_of_all_memories_and_a_refusal_is_remembered() {
        let mut memory = Memory::new(100);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert!(!memory.refused());
        assert!(!memory.memory_growing(60, 61, None).unwrap());
        assert!(memory.refused());
    }

    #[test]
    fn a_growth_that_failed_is_not_counted() {
        let mut memory = Memory::new(100);
        assert!(memory.memory_growing(0, 90, None).unwrap());
        memory.memory_grow_failed(wasmtime::format_err!("no pages")).unwrap();
        assert!(memory.memory_growing(0, 90, None).unwrap());
    }
}
