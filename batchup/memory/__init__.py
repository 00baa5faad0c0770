"""The memory of batches: shared memory, which of it the caller holds, and how much there is."""
