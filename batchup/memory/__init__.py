"""The memory of batches: `reuse`, shared memory, which of it the caller holds, and how much there is."""

from batchup.core.memory import reuse

__all__ = ["reuse"]
