"""Cause faults of pools at random, for some minutes, and check every batch.

    python benchmarks/soak.py --minutes 10 [--seed 1] [--json results.json]

Several threads iterate over one process pool and one thread pool, with random streams, buffers and faults: exceptions,
results that can't be pickled, workers that kill themselves or exit, batches that hang until they time out, iterations
that are ended early or dropped, and batches that are held for a while. Meanwhile random workers are killed, and the
main thread, which iterates too, gets Ctrl-C.

Each iteration must give all batches, each once and in order; or the batches up to one, in whose place comes an error
that the fault allows, and then it must be over. At the end no process, thread, open file or mapping may be left.

Prints what it did. Exits with 1 at the first thing that is wrong, or if no batch comes for a minute.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from batchup import ops, work_pool

THREADS = 3
HANGS = 60  # seconds without a batch that mean a failure
X = np.arange(2000 * 32, dtype=np.float32).reshape(2000, 32)
LARGE = np.arange(400 * 4096, dtype=np.float32).reshape(400, 4096)  # batches of it in shared memory


class WrongError(Exception):
    """Raised for a result that must not happen."""


# --- what happens in a worker


class Fault:
    """A function that causes a fault at one batch, and leaves the others as they are."""

    def __init__(self, kind: str, trigger: float):
        self.kind = kind
        self.trigger = trigger

    def __call__(self, batch: np.ndarray) -> Any:
        if batch.flat[0] != self.trigger:
            return batch
        return getattr(self, f"_{self.kind}")(batch)

    def _none(self, batch: np.ndarray) -> Any:
        return batch

    def _exception(self, batch: np.ndarray) -> Any:
        raise ValueError("on purpose")

    def _unpicklable(self, batch: np.ndarray) -> Any:
        return threading.Lock()

    def _kill(self, batch: np.ndarray) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, batch: np.ndarray) -> Any:
        os._exit(random.choice([0, 3]))

    def _hang(self, batch: np.ndarray) -> Any:
        threading.Event().wait(2 * HANGS)


# For each fault: the errors that may come in place of its batch, in processes and in threads.
ALLOWED: dict[str, tuple[type | None, type | None]] = {
    "none": (None, None),
    "exception": (ValueError, ValueError),
    "unpicklable": (TypeError, None),
    "kill": (work_pool.WorkerDied, None),
    "exit": (work_pool.WorkerDied, None),
    "hang": (TimeoutError, None),
}
IN_THREADS = ["none", "exception"]


# --- what iterates


class Soak:
    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.wrong: list[str] = []
        self.last = time.monotonic()
        self.armed = False  # True while Ctrl-C may interrupt the main thread
        self.processes = work_pool.WorkerProcessPool(2, max_bytes=64 << 20)
        self.threads = work_pool.WorkerThreadPool(2)

    def count(self, what: str, n: int = 1) -> None:
        with self.lock:
            self.counts[what] += n
        self.last = time.monotonic()

    def guarded(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except BaseException as error:
            self.wrong.append(f"{function.__name__}: {type(error).__name__}: {error}")
            self.over.set()

    def iterate(self, seed: int) -> None:
        rng, kept = random.Random(seed), deque[tuple[np.ndarray, np.ndarray]](maxlen=20)
        while not self.over.is_set():
            self.one(rng, kept)

    def one(self, rng: random.Random, kept: deque[tuple[np.ndarray, np.ndarray]]) -> None:
        """Run one iteration, and check it."""
        array = rng.choice([X, LARGE])
        size = rng.choice([1, 7, 40])
        n = rng.randint(1, len(array))
        plain = ops.indices(n) | ops.shuffle(rng.randrange(9)) | ops.chunk(size)
        plain = plain | ops.take(rng.randint(1, 150)) | ops.gather(array)
        expected = [batch for (batch,) in plain]
        in_processes = rng.random() < 0.8
        pool = self.processes if in_processes else self.threads
        kind = rng.choice(list(ALLOWED) if in_processes else IN_THREADS)
        at = rng.randrange(len(expected))
        stream = plain | ops.map(Fault(kind, float(expected[at].flat[0])))
        timeout = 0.3 if kind == "hang" else None
        stream = stream | ops.parallel(pool, rng.choice([1, 2, 5, 40, 200]), timeout)
        stop = rng.randrange(len(expected) + 1) if rng.random() < 0.3 else None
        it, *ended = self.received(stream, expected, stop, kept, rng)
        self.count(f"iterations in {'processes' if in_processes else 'threads'}")
        self.judge(it, ended, kind, at, in_processes, len(expected), stop)

    def received(
        self,
        stream: ops.Stream,
        expected: list[np.ndarray],
        stop: int | None,
        kept: deque[tuple[np.ndarray, np.ndarray]],
        rng: random.Random,
    ) -> tuple[Any, int, BaseException | None]:
        """Return the iterator, the number of batches that came, and the error after them. The batches are compared."""
        n, it = 0, iter(())
        try:
            self.armed = threading.current_thread() is threading.main_thread()
            it = iter(stream)
            while n != stop:
                batch = next(it, None)
                if batch is None:
                    break
                if n >= len(expected) or not np.array_equal(batch, expected[n]):
                    raise WrongError(f"batch {n} is not the one that was due")
                if rng.random() < 0.1:
                    kept.append((batch, expected[n]))
                n += 1
        except WrongError:
            raise
        except BaseException as error:
            return it, n, error
        finally:
            self.armed &= threading.current_thread() is not threading.main_thread()
            self.count("batches", n)
            for batch, copy in kept:
                if not np.array_equal(batch, copy):
                    raise WrongError("a batch that was held has changed")
        return it, n, None

    def on_ctrl_c(self, *args: Any) -> None:
        """Raise KeyboardInterrupt once, anywhere while the main thread iterates."""
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def judge(
        self, it: Any, ended: list[Any], kind: str, at: int, in_processes: bool, length: int, stop: int | None
    ) -> None:
        n, error = ended
        due = ALLOWED[kind][0 if in_processes else 1]
        if error is None:
            if n != (length if stop is None else stop) or (due is not None and n > at):
                raise WrongError(f"{n} batches of {length} came, with the fault {kind} at {at}")
            self.count("broken off" if stop is not None else "complete")
            return
        name = type(error).__name__
        self.count(name)
        if isinstance(error, KeyboardInterrupt):
            # It may have come before `next` was called, or after it had returned.
            if isinstance(it, ops.StreamIterator) and it.state_dict()["position"] - n not in (0, 1):
                raise WrongError(f"after a Ctrl-C at batch {n} it says {it.state_dict()['position']}")
            return
        if due is not None and type(error) is due and n == at:
            pass
        elif isinstance(error, work_pool.WorkerDied) and in_processes:
            pass  # of the thread that kills workers
        elif isinstance(error, TimeoutError) and kind == "hang":
            pass  # a batch that waited for a worker to be replaced
        else:
            raise WrongError(f"{name}: {error}, in place of batch {n}, with the fault {kind} at {at}")
        with suppress(RuntimeError):
            if next(it, None) is not None:
                raise WrongError(f"it went on after {name}")

    # --- what disturbs them

    def kill_workers(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.over.wait(rng.expovariate(3)):
            with suppress(IndexError, ProcessLookupError):
                sign = rng.choice([signal.SIGKILL, signal.SIGTERM])
                os.kill(rng.choice(self.processes._supervisor.pids()), sign)
                self.count(f"{sign.name} sent")

    def interrupt(self, seed: int) -> None:
        rng, main = random.Random(seed), threading.main_thread().ident
        while not self.over.wait(rng.expovariate(10)):
            if self.armed and main is not None:
                signal.pthread_kill(main, signal.SIGINT)
                self.count("Ctrl-C sent")

    def in_main(self, rng: random.Random, end: float) -> None:
        """Iterate in the main thread too, which gets Ctrl-C."""
        kept = deque[tuple[np.ndarray, np.ndarray]](maxlen=20)
        while time.monotonic() < end and not self.over.is_set():
            if time.monotonic() - self.last > HANGS:
                faulthandler.dump_traceback(all_threads=True)
                raise WrongError(f"nothing came for {HANGS} s")
            with suppress(KeyboardInterrupt):  # it has ended meanwhile
                self.one(rng, kept)

    def run(self, minutes: float) -> None:
        for n in range(THREADS):
            self.start(self.iterate, n)
        self.start(self.kill_workers, THREADS)
        self.start(self.interrupt, THREADS + 1)
        self.start(self.watch, 0)
        try:
            self.in_main(random.Random(THREADS + 2), time.monotonic() + 60 * minutes)
        finally:
            self.over.set()
            for thread in self.started:
                thread.join(HANGS)
        if stuck := [thread.name for thread in self.started if thread.is_alive()]:
            faulthandler.dump_traceback(all_threads=True)
            raise WrongError(f"{', '.join(stuck)} did not end")
        if self.wrong:
            raise WrongError(self.wrong[0])
        self.processes.close()
        self.threads.close()

    started: list[threading.Thread]

    def start(self, function: Callable[[int], None], seed: int) -> None:
        self.started = getattr(self, "started", [])
        thread = threading.Thread(
            target=self.guarded,
            args=(function, self.rng.randrange(2**32) + seed),
            name=f"{function.__name__} {seed}",
            daemon=True,
        )
        self.started.append(thread)
        thread.start()

    def watch(self, seed: int) -> None:
        while not self.over.wait(1):
            if time.monotonic() - self.last > HANGS:
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)


def left() -> dict[str, int]:
    """What a pool may leave behind, and how much of it there is."""
    gc.collect()
    files = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{name}"))
    children = [task.read_text().split() for task in Path("/proc/self/task").glob("*/children")]
    return {
        "processes": sum(map(len, children)),
        "threads": threading.active_count(),
        "open files": len([name for name in files if not name.startswith("/")]),
        "mappings": Path("/proc/self/maps").read_text().count("memfd:batchup"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    arguments = parser.parse_args()
    before = left()
    soak = Soak(arguments.seed)
    signal.signal(signal.SIGINT, soak.on_ctrl_c)
    try:
        soak.run(arguments.minutes)
    except WrongError as error:
        print(f"WRONG: {error}")
        return 1
    finally:
        for what, n in sorted(soak.counts.items()):
            print(f"{n:10} {what}")
    counts = dict(soak.counts)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del soak
    after = left()
    if after != before:
        print(f"WRONG: left behind: {after}, before {before}")
        return 1
    print("every batch was right, and nothing was left behind")
    if arguments.json:
        arguments.json.write_text(json.dumps(counts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
