"""Several items a task, for executors and clusters."""

import threading
from concurrent.futures import ThreadPoolExecutor

from batchup import ops, work_pool
from batchup.work_pool.remote import RemoteWorkers, ship


class Counted:
    """A task that counts how often it is cancelled."""

    def __init__(self, future):
        self.result = future.result
        self.done = future.done
        self.cancelled = 0

    def cancel(self):
        self.cancelled += 1


def test_a_task_is_cancelled_once_for_all_its_items_and_not_when_it_is_done():
    stream = ops.indices(9) | ops.chunk(1) | ops.map(lambda block: int(block[0]))
    go_on, tasks = threading.Event(), []

    def waits(package, items):
        go_on.wait()
        return ship(package, items)

    with ThreadPoolExecutor(1) as executor, work_pool.ExecutorPool(executor) as pool:

        def publish(package):
            def send(items):
                tasks.append(Counted(executor.submit(waits, package, items)))
                return tasks[-1]

            return send

        workers = RemoteWorkers(pool, stream.work, "here", publish)
        workers.seconds = 1e-9  # so short are they that a quarter of the buffer goes together
        run = workers.start(8)
        pending = [run.submit(range(n, n + 1)) for n in range(4)]
        try:
            for item in pending:
                item.cancel()
            run.close(pending[0], None)
        finally:
            go_on.set()
        assert [task.cancelled for task in tasks] == [1, 1]
        assert [item.result() for item in pending] == [0, 1, 2, 3]
        again = [run.submit(range(n, n + 1)) for n in range(2)]
        assert [item.result() for item in again] == [0, 1]
        for item in again:
            item.cancel()
        assert [task.cancelled for task in tasks] == [1, 1, 0]
