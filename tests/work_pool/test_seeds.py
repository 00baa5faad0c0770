"""Global generators in worker processes: the same bits with seed_globals, and a warning without it."""

import random
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context, resource_tracker

import pytest

from batchup import ops, work_pool
from batchup.work_pool.watch import Watch
from tests.core.test_global_seeds import BATCHES, STREAMS, batch_drawn, drawn, lists

resource_tracker.ensure_running()  # which lives as long as this process


@pytest.mark.parametrize("processes", [1, 2])
def test_the_same_bits_in_any_number_of_processes(processes):
    with work_pool.WorkerProcessPool(processes) as pool:
        for stream in STREAMS.values():
            assert lists(stream | ops.parallel(pool)) == lists(stream)
        joint = ops.zip(STREAMS["map"], STREAMS["samples"])
        assert lists(joint | ops.parallel(pool)) == lists(joint)


def test_the_same_bits_of_pytorch():
    torch = pytest.importorskip("torch")

    def torch_drawn(y):
        import torch

        return torch.rand(3), y

    stream = BATCHES | ops.map_samples(torch_drawn, seed_globals=7)
    torch.manual_seed(1)
    with work_pool.WorkerProcessPool(2) as pool:
        assert lists(stream | ops.parallel(pool)) == lists(stream)


def test_the_same_bits_in_an_executor():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        for stream in STREAMS.values():
            assert lists(stream | ops.parallel(work_pool.ExecutorPool(executor))) == lists(stream)


def quiet(y):
    return y * 2


def python_drawn(y):
    return y + random.random()


class Noisy:
    """A dataset whose samples are augmented by a global generator."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return i + random.random()


UNSEEDED = {
    "map(batch_drawn)": BATCHES | ops.map(quiet) | ops.map(batch_drawn),
    "map(python_drawn)": ops.zip(BATCHES | ops.map(quiet), BATCHES | ops.map(python_drawn)),
    "map_samples(drawn)": BATCHES | ops.map_samples(drawn),
    "samples(<Noisy of 10>)": ops.indices(10) | ops.chunk(4) | ops.samples(Noisy()),
}


@pytest.mark.parametrize("stage", UNSEEDED)
def test_draws_without_a_seed_are_told_once(stage):
    with work_pool.WorkerProcessPool(1) as pool:
        stream = UNSEEDED[stage] | ops.parallel(pool)
        with pytest.warns(UserWarning, match=r"with seed_globals=.*with rng=") as told:
            list(stream | ops.repeat(2))
    [warning] = told
    assert str(warning.message).startswith(f"{stage}: it draws from a global generator")
    assert warning.filename == __file__


def test_draws_in_an_executor_are_told():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        pool = work_pool.ExecutorPool(executor)
        with pytest.warns(UserWarning, match=r"map\(batch_drawn\): it draws from a global generator"):
            list(BATCHES | ops.map(batch_drawn) | ops.parallel(pool))


def test_work_with_a_seed_draws_without_a_warning():
    with warnings.catch_warnings(), work_pool.WorkerProcessPool(1) as pool:
        warnings.simplefilter("error")
        for stream in (*STREAMS.values(), BATCHES | ops.map(lambda y, rng: y + rng.random(), rng=5)):
            list(stream | ops.parallel(pool))
        list(BATCHES | ops.map(quiet) | ops.parallel(pool))


def test_what_other_threads_draw_from_random_is_not_told():
    """As a worker of Dask does, now and then."""
    watch = Watch()
    step = ops.map(quiet).args[0]

    def draws_meanwhile(y):
        state = random.getstate()
        while random.getstate() == state:
            threading.Event().wait(0.001)
        return y

    stop = threading.Event()
    drawing = threading.Thread(target=lambda: [random.random() for _ in iter(stop.is_set, True)])
    drawing.start()
    try:
        watch.run(replace(step, fn=draws_meanwhile), 1)
    finally:
        stop.set()
        drawing.join()
    assert watch.news() == ""


def keeps_a_thread(y):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return y


def test_work_that_starts_a_thread_is_not_told_to_draw():
    with warnings.catch_warnings(), work_pool.WorkerProcessPool(1) as pool:
        warnings.simplefilter("error")
        assert len(list(BATCHES | ops.map(keeps_a_thread) | ops.parallel(pool))) == 3


def test_pytorch_is_watched():
    torch = pytest.importorskip("torch")

    def torch_drawn(y):
        return torch.rand(3)

    with work_pool.WorkerProcessPool(1) as pool, pytest.warns(UserWarning, match="torch_drawn"):
        list(BATCHES | ops.map(torch_drawn) | ops.parallel(pool))
