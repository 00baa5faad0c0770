"""A function that fails in a worker shows where it was written: file or cell, line, and source line."""

import json
import linecache
import subprocess
import sys
import traceback

import pytest

from batchup import ops, work_pool
from tests.work_pool import scripts

PROGRAM = """\
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from batchup import ops, work_pool

def outer(ratio):
    def inner(n):
        return (
            1 / (n * ratio)  # the line that fails
        )
    return inner

class Net:
    def __call__(self, n):
        return outer(0)(n)  # the line that calls it

if __name__ == "__main__":
    os.chdir("/")
    # multiprocessing can't spawn from a program that came by stdin.
    context = multiprocessing.get_context("spawn" if os.path.exists(__file__) else "fork")
    for stage in (ops.map(outer(0)), ops.map(Net())):
        with work_pool.WorkerProcessPool(1) as pool:
            try:
                list(range(3) | stage | ops.parallel(pool))
            except ZeroDivisionError as error:
                print(error.__cause__)
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            try:
                list(range(3) | stage | ops.parallel(work_pool.ExecutorPool(executor)))
            except ZeroDivisionError as error:
                print(error.__cause__)
"""
FAILS = "1 / (n * ratio)  # the line that fails"
CALLS = "return outer(0)(n)  # the line that calls it"


def test_of_a_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    shown = scripts.run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert shown.count(f'File "{script}", line 8, in inner\n    {FAILS}') == 4
    assert shown.count(f'File "{script}", line 14, in __call__\n    {CALLS}') == 2


def test_of_stdin_that_is_a_file(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    with script.open() as file:
        shown = scripts.run_stdin(file)
    assert shown.count(f'File "<stdin>", line 8, in inner\n    {FAILS}') == 4
    assert shown.count(f'File "<stdin>", line 14, in __call__\n    {CALLS}') == 2


def test_of_stdin_that_is_a_pipe_as_in_the_caller():
    """Source that came through a pipe can't be read again: before 3.13 Python shows none."""
    shown = scripts.run_stdin(PROGRAM)
    assert shown.count('File "<stdin>", line 8, in inner') == 4
    assert shown.count('File "<stdin>", line 14, in __call__') == 2


CELLS = [
    "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\nfrom batchup import ops, work_pool",
    "# a cell\ndef outer(ratio):\n    return lambda n: 1 / (n * ratio)  # the line that fails",
    "pool = work_pool.WorkerProcessPool(1)\n"
    "executor = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn'))\n"
    "for workers in (pool, work_pool.ExecutorPool(executor)):\n"
    "    try:\n"
    "        list(range(3) | ops.map(outer(0)) | ops.parallel(workers))\n"
    "    except ZeroDivisionError as error:\n"
    "        print(error.__cause__)\n"
    "pool.close()\n"
    "executor.shutdown()",
]
NOTEBOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")  # of what runs the notebook
import nbclient, nbformat

cells = [nbformat.v4.new_code_cell(source) for source in json.loads(sys.argv[1])]
notebook = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(notebook, timeout=120).execute()
for output in notebook.cells[-1].outputs:
    print(output.text)
"""


def test_of_a_notebook():
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, json.dumps(CELLS)],
        cwd=scripts.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fails = "    return lambda n: 1 / (n * ratio)  # the line that fails"
    assert done.stdout.count(f"  Cell In[2], line 3, in <lambda>\n{fails}") == 2


def run_from_nowhere(source, path):
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    names = {"__name__": "__main__"}
    exec(compile(source, path, "exec"), names)
    return names


def unreadable(tmp_path):
    """A function whose source is known to this process alone."""
    path = str(tmp_path / "cell.py")
    source = "# not on disk\ndef fails(block):\n    raise ValueError('here')  # the line that fails\n"
    return run_from_nowhere(source, path)["fails"], f"File \"{path}\", line 3, in fails\n    raise ValueError('here')"


def check_the_source_line(pool, tmp_path):
    fails, wanted = unreadable(tmp_path)
    with pytest.raises(ValueError, match="here") as caught:
        list(ops.indices(4) | ops.chunk(2) | ops.map(fails) | ops.parallel(pool))
    assert wanted in "".join(traceback.format_exception(caught.value.__cause__))
    with pytest.raises(ValueError, match="here") as caught:
        pool.work_stream([(fails, (3,))]).retrieve()
    assert wanted in str(caught.value.__cause__)


def test_the_source_comes_along_where_it_is_in_no_file(tmp_path):
    with work_pool.WorkerProcessPool(1) as pool:
        check_the_source_line(pool, tmp_path)


def test_functions_of_one_file_add_their_lines(tmp_path):
    path = str(tmp_path / "cell.py")
    source = "".join(f"def f{k}(x):\n    raise ValueError({k})  # of f{k}\n" for k in range(3))
    names = run_from_nowhere(source, path)
    with work_pool.WorkerProcessPool(1) as pool:
        for k in (2, 0, 1):
            with pytest.raises(ValueError, match=str(k)) as caught:
                list([1] | ops.map(names[f"f{k}"]) | ops.parallel(pool))
            assert f"line {2 * k + 2}, in f{k}\n    raise ValueError({k})  # of f{k}\n" in str(caught.value.__cause__)
