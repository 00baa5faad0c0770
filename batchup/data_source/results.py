"""The results of a function over all batches: concatenated, or their mean a sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from batchup.core.checks import describe, whole_number
from batchup.core.hints import EVALUATION_HINTS, hinted
from batchup.core.iteration import StreamIterator
from batchup.core.loader import Loader, LoaderIterator
from batchup.core.record import Count
from batchup.core.stream import Stream
from batchup.data_source.reduce import concat, mean
from batchup.ops.index.take import take
from batchup.ops.loading import own_workers, pool_of
from batchup.ops.parallel import Pool, in_pool
from batchup.sampling import num_batches

__all__ = ["BatchMaps", "batch_map_concat", "batch_map_mean"]


@hinted(**EVALUATION_HINTS)
def batch_map_concat(
    func: Callable[..., Any],
    batch_iter: Iterable[Any],
    progress_iter_func: Callable[..., Any] | None = None,
    n_batches: int | None = None,
    prepend_args: Sequence[Any] | None = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
    pool: Pool | None = None,
    progress: bool = False,
) -> Any:
    """Call a function with each batch, and concatenate the results: predictions, say.

    Parameters
    ----------
    func : callable
        `func(*prepend_args, *batch)` returns an array of shape (samples, ...), anything with `__array__` such as a
        tensor, a `Ragged`, a tuple or list of these, or None. Of tensors that require grad the values are taken.
    batch_iter : iterable
        The batches.
    progress_iter_func : callable or None
        A progress bar of yours: `progress_iter_func(batches, total=, leave=False)`.
    n_batches : int or None
        The largest number of batches to go through; None for all.
    prepend_args : sequence or None
        Further arguments, before those of the batch.
    workers : int or None
        If given, so many worker processes make the batches of a stream, and end after it. `func` runs in this process.
    threads : int or None
        In place of `workers`, so many threads.
    pool : pool of `batchup.work_pool` or None
        In place of `workers`, a pool of yours.
    progress : bool
        If True, show a progress bar of tqdm.

    Returns
    -------
    tuple of arrays or Ragged, or None
        The concatenated results; None if `func` returned None, `()` if there were no batches.

    Raises
    ------
    TypeError
        If `func` returns something else.
    ValueError
        If the number of results changes from batch to batch.

    Examples
    --------
    >>> batches = [(np.array([1.0, 2.0]),), (np.array([3.0]),)]
    >>> batch_map_concat(lambda x: (x * 2, x > 1.5), batches)
    (array([2., 4., 6.]), array([False,  True,  True]))
    """
    shown = progress_by(progress, progress_iter_func)
    with _worked(batch_iter, workers, threads, pool, "batch_map_concat") as batch_iter:
        batches, total = _limited(batch_iter, n_batches)
        return concat(func, batches, total, shown, prepend_args)


@hinted(**EVALUATION_HINTS)
def batch_map_mean(
    func: Callable[..., Any],
    batch_iter: Iterable[Any],
    progress_iter_func: Callable[..., Any] | None = None,
    sum_axis: int | tuple[int, ...] | None = None,
    n_batches: int | None = None,
    prepend_args: Sequence[Any] | None = None,
    *,
    per: str = "sample",
    workers: int | None = None,
    threads: int | None = None,
    pool: Pool | None = None,
    progress: bool = False,
) -> Any:
    """Call a function with each batch, and divide the sum of the results by the number of samples: mean losses, say.

    The number of samples of a batch is the length of its first array.

    Parameters
    ----------
    func : callable
        `func(*prepend_args, *batch)` returns the **sum** over the samples of the batch: a number, an array, anything
        with `__array__`, a tuple or list of these, or None.
    batch_iter : iterable
        The batches.
    progress_iter_func : callable or None
        A progress bar of yours: `progress_iter_func(batches, total=, leave=False)`.
    sum_axis : int, tuple of int or None
        If given, `func` returns values for each sample, which are summed over this axis.
    n_batches : int or None
        The largest number of batches to go through; None for all.
    prepend_args : sequence or None
        Further arguments, before those of the batch.
    per : "sample" or "batch"
        Pass "batch" if `func` returns means, as the losses of most frameworks are: each is weighted by the number of
        samples of its batch.
    workers : int or None
        If given, so many worker processes make the batches of a stream, and end after it. `func` runs in this process.
    threads : int or None
        In place of `workers`, so many threads.
    pool : pool of `batchup.work_pool` or None
        In place of `workers`, a pool of yours.
    progress : bool
        If True, show a progress bar of tqdm.

    Returns
    -------
    tuple of float64 arrays, or None
        The means; complex ones stay complex. None if `func` returned None.

    Raises
    ------
    TypeError
        If `func` returns something else.
    ValueError
        If the number or the shapes of the results change from batch to batch, and if there are no samples.

    Examples
    --------
    >>> batches = [(np.array([1.0, 2.0]),), (np.array([6.0]),)]
    >>> mean, above = batch_map_mean(lambda x: [x.sum(), (x > 1).sum()], batches)
    >>> float(mean), round(float(above), 3)
    (3.0, 0.667)
    >>> [mean] = batch_map_mean(lambda x: x, batches, sum_axis=0)
    >>> [same_mean] = batch_map_mean(lambda x: x.mean(), batches, per="batch")
    """
    shown = progress_by(progress, progress_iter_func)
    with _worked(batch_iter, workers, threads, pool, "batch_map_mean") as batch_iter:
        batches, total = _limited(batch_iter, n_batches)
        return mean(func, batches, total, shown, sum_axis, prepend_args, per)


def progress_by(progress: bool, progress_iter_func: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """The function that shows a progress bar: tqdm, for `progress=True`."""
    if not progress:
        return progress_iter_func
    if progress_iter_func is not None:
        raise ValueError("expected progress=True, which is tqdm, or progress_iter_func; got both")
    from tqdm import tqdm

    return tqdm


@contextmanager
def _worked(batch_iter: Iterable[Any], workers: Any, threads: Any, pool: Any, where: str) -> Iterator[Iterable[Any]]:
    """The batches, made by the workers that a user asks for; own workers end after that."""
    workers, threads = own_workers(workers, threads, pool, where)
    if workers is None and threads is None and pool is None:
        yield batch_iter
    elif not isinstance(batch_iter, Stream):
        wanted = f"{where}: workers: expected a stream or a data source, whose batches workers can make"
        own = ": give workers= to the loader" if isinstance(batch_iter, Loader | LoaderIterator) else ""
        raise TypeError(f"{wanted}; got {describe(batch_iter)}{own}")
    elif pool is not None:
        yield in_pool(batch_iter, pool, None)
    else:
        own_pool = pool_of(batch_iter, workers, threads, where)
        try:
            yield in_pool(batch_iter, own_pool, None)
        finally:
            own_pool.close()


def _limited(batch_iter: Iterable[Any], n_batches: int | None) -> tuple[Iterable[Any], int | None]:
    total: Count = None
    if isinstance(batch_iter, Stream):
        total = batch_iter.plan.length
    elif isinstance(batch_iter, StreamIterator):
        total = batch_iter.left
    elif isinstance(batch_iter, Sized):
        with suppress(TypeError):  # without a length
            total = len(batch_iter)
    if n_batches is None and total == math.inf:
        raise ValueError(f"{batch_iter!r} is endless: expected n_batches=, how many to go through")
    total = total if isinstance(total, int) else None
    if n_batches is None:
        return batch_iter, total
    n_batches = whole_number(n_batches, "n_batches")
    return islice(batch_iter, n_batches), n_batches if total is None else min(n_batches, total)


class BatchMaps:
    """`batch_map_concat` and `batch_map_mean` of a data source, over its `stream`."""

    @property
    def is_random_access(self) -> bool:
        """True if samples can be read by index: by `batch_indices_iterator` and `samples_by_indices`."""
        return False

    def _check(self, method: str, kwargs: dict[str, Any]) -> None:
        """Raise TypeError for an unknown option, unless a user's class may know it."""

    def stream(self, batch_size: int | Sequence[Any], **kwargs: Any) -> Stream:
        raise NotImplementedError

    def _stream_for_pool(self, batch_size: int | Sequence[Any], **kwargs: Any) -> Stream:
        """The same stream for a pool, which does all its work."""
        raise NotImplementedError

    def batch_map_concat(
        self,
        func: Callable[..., Any],
        batch_size: int | Sequence[Any],
        progress_iter_func: Callable[..., Any] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        *,
        workers: int | None = None,
        threads: int | None = None,
        pool: Pool | None = None,
        progress: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The function `batch_map_concat` over the batches of an epoch of this source.

        Parameters
        ----------
        func : callable
            As for `batch_map_concat`.
        batch_size : int or list of int
            The number of samples in a batch.
        progress_iter_func : callable or None
            As for `batch_map_concat`.
        n_batches : int or None
            The largest number of batches to go through; None for all.
        prepend_args : sequence or None
            Further arguments, before those of the batch.
        workers : int or None
            As for `batch_map_concat`: so many worker processes make the batches.
        threads : int or None
            In place of `workers`, so many threads.
        pool : pool of `batchup.work_pool` or None
            In place of `workers`, a pool of yours.
        progress : bool
            If True, show a progress bar of tqdm.
        **kwargs : any
            `shuffle` and the options of `batch_iterator`.

        Returns
        -------
        tuple of arrays, or None
            As for `batch_map_concat`.

        Raises
        ------
        ValueError
            Before anything runs, if the source is endless and `n_batches` is None.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> ArrayDataSource([np.arange(5.0)]).batch_map_concat(lambda x: x * 2, batch_size=2)
        (array([0., 2., 4., 6., 8.]),)
        """
        shown = progress_by(progress, progress_iter_func)
        with self._batches("batch_map_concat", batch_size, n_batches, workers, threads, pool, kwargs) as (
            batches,
            total,
        ):
            return concat(func, batches, total, shown, prepend_args)

    def batch_map_mean(
        self,
        func: Callable[..., Any],
        batch_size: int | Sequence[Any],
        progress_iter_func: Callable[..., Any] | None = None,
        sum_axis: int | tuple[int, ...] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        *,
        per: str = "sample",
        workers: int | None = None,
        threads: int | None = None,
        pool: Pool | None = None,
        progress: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The function `batch_map_mean` over the batches of an epoch of this source.

        Parameters
        ----------
        func : callable
            As for `batch_map_mean`.
        batch_size : int or list of int
            The number of samples in a batch.
        progress_iter_func : callable or None
            As for `batch_map_mean`.
        sum_axis : int, tuple of int or None
            As for `batch_map_mean`.
        n_batches : int or None
            The largest number of batches to go through; None for all.
        prepend_args : sequence or None
            Further arguments, before those of the batch.
        per : "sample" or "batch"
            As for `batch_map_mean`.
        workers : int or None
            As for `batch_map_concat`: so many worker processes make the batches.
        threads : int or None
            In place of `workers`, so many threads.
        pool : pool of `batchup.work_pool` or None
            In place of `workers`, a pool of yours.
        progress : bool
            If True, show a progress bar of tqdm.
        **kwargs : any
            `shuffle` and the options of `batch_iterator`.

        Returns
        -------
        tuple of arrays, or None
            As for `batch_map_mean`.

        Raises
        ------
        ValueError
            Before anything runs, if the source is endless and `n_batches` is None.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> [mean] = ArrayDataSource([np.arange(5.0)]).batch_map_mean(lambda x: x.sum(), batch_size=2)
        >>> float(mean)
        2.0
        """
        shown = progress_by(progress, progress_iter_func)
        with self._batches("batch_map_mean", batch_size, n_batches, workers, threads, pool, kwargs) as (batches, total):
            return mean(func, batches, total, shown, sum_axis, prepend_args, per)

    @contextmanager
    def _batches(
        self,
        method: str,
        batch_size: int | Sequence[Any],
        n_batches: int | None,
        workers: int | None,
        threads: int | None,
        pool: Pool | None,
        kwargs: dict[str, Any],
    ) -> Iterator[tuple[Iterable[Any], int | None]]:
        """The batches of an epoch, at most `n_batches`, made by workers if there are some; and their number, if known."""
        self._check(method, kwargs)
        stream_of = self._stream_for_pool if workers or threads or pool else self.stream
        stream = stream_of(batch_size, **kwargs)
        total = stream.plan.length
        if total is None and isinstance(stream.num_samples, int) and isinstance(batch_size, int):
            total = num_batches(stream.num_samples, batch_size)  # only for a progress bar
        if n_batches is not None:
            stream |= take(n_batches)
            total = n_batches if total is None else min(total, n_batches)
        if total == math.inf:
            raise ValueError(f"{self!r} is endless: expected n_batches=, how many batches to go through")
        with _worked(stream, workers, threads, pool, method) as batches:
            yield batches, total if isinstance(total, int) else None
