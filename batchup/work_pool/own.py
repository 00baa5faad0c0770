"""Pools that loaders make for themselves, with `workers=` or `threads=`: they start with the first iteration."""

from __future__ import annotations

from batchup.work_pool.processes.pool import WorkerProcessPool
from batchup.work_pool.threads import WorkerThreadPool

__all__ = ["OwnProcesses", "OwnThreads"]


class OwnProcesses(WorkerProcessPool):
    """The processes of a loader."""

    _starts_at_once = False


class OwnThreads(WorkerThreadPool):
    """The threads of a loader."""

    _starts_at_once = False
