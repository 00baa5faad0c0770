"""The benchmarks run, with all contenders. What they measure is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOOPS = {"take loop", "fancy-index loop", "BatchUp"}


def run(*arguments, tmp_path, name="arrays.py"):
    path = tmp_path / "results.json"
    script = ROOT / "benchmarks" / name
    command = [sys.executable, "-W", "error", script, "--quick", "--json", path, *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(path.read_text())


def test_every_case_has_every_contender(tmp_path):
    shown, results = run(tmp_path=tmp_path)
    measured = {}
    for row in results["rows"]:
        assert row["us_a_batch"] > 0
        assert row["contender"] in shown
        measured.setdefault((row["case"], row["order"]), set()).add(row["contender"])
    for case in ("rows", "mnist", "images", "small", "composite"):
        for order in ("shuffled", "in order"):
            assert measured[case, order] >= LOOPS
    assert "its parts" in measured["composite", "shuffled"]
    assert measured["weighted", "shuffled"] >= {"BatchUp", "choice(p=weights) loop"}
    assert len(measured) == len(results["targets"]) == 11
    assert all(isinstance(target["holds"], bool) for target in results["targets"])
    assert {"cpu", "cores", "numpy"} <= set(results["machine"])


def test_only_the_cases_asked_for(tmp_path):
    _, results = run("--cases", "small", tmp_path=tmp_path)
    assert {row["case"] for row in results["rows"]} == {"small"}


def test_pools(tmp_path):
    shown, results = run(name="pools.py", tmp_path=tmp_path)
    measured = {(row["case"], row["contender"]) for row in results["rows"]}
    ours = {
        ("jpegs", "threads"),
        ("first", "threads, split"),
        ("python", "processes"),
        ("large", "processes"),
        ("memory", "threads"),
    }
    ours |= {("small", "threads"), ("small", "processes")}
    assert measured >= {(case, f"BatchUp, {workers}") for case, workers in ours}
    assert all(row["ms_a_batch"] > 0 and row["contender"] in shown for row in results["rows"])
    # The others are beside DataLoader, where there is torch.
    assert len(results["targets"]) >= 4


def test_changes(tmp_path):
    _, results = run(name="changes.py", tmp_path=tmp_path)
    assert {row["array"] for row in results["rows"]} == {"unchanged", "changed"}
    assert len(results["rows"]) == 6
    assert all(row["seconds_a_gb"] > 0 for row in results["rows"])


def test_samples(tmp_path):
    _, results = run(name="samples.py", tmp_path=tmp_path)
    assert len(results["rows"]) == len(results["targets"]) == 4


def test_mixtures(tmp_path):
    _, results = run(name="mixtures.py", tmp_path=tmp_path)
    assert len(results["rows"]) == 10
    assert len(results["targets"]) == 6


def test_clusters(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    pytest.importorskip("ray", reason="Ray is not installed")
    shown, results = run(name="clusters.py", tmp_path=tmp_path)
    measured = {(row["engine"], row["contender"]) for row in results["rows"]}
    assert measured == {(engine, name) for engine in ("dask", "ray") for name in ("BatchUp", "bare")}
    assert len(results["rows"]) == 2 * len(results["targets"]) == 12
    assert all(row["ms_a_batch"] > 0 and row["case"] in shown for row in results["rows"])


def test_soak(tmp_path):
    script = ROOT / "benchmarks" / "soak.py"
    command = [sys.executable, "-W", "error", script, "--minutes", "0.05", "--json", tmp_path / "counts.json"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every batch was right, and nothing was left behind" in done.stdout
    assert json.loads((tmp_path / "counts.json").read_text())["batches"] > 0


def test_storage(tmp_path):
    shown, results = run(name="storage.py", tmp_path=tmp_path)
    ways = {(row["file"], row["contender"]) for row in results["rows"] if "file" in row}
    ours = {"BatchUp, windows", "BatchUp, in order", "BatchUp, full shuffle", "item by item"}
    assert ways >= {(file, way) for file in ("HDF5", "HDF5, gzip", "zarr") for way in ours}
    assert {row["window"] for row in results["rows"] if "window" in row} == {20, 64, 256, 1024}
    assert "times a chunk is decoded" in shown
    assert all(target["holds"] for target in results["targets"] if "decoded" in target["what"])


def test_lengths(tmp_path):
    shown, results = run(name="lengths.py", tmp_path=tmp_path)
    assert {row["contender"] for row in results["rows"]} >= {"BatchUp", "np.take of rows", "bare slices"}
    assert "share of padding" in shown
    assert len(results["targets"]) >= 12


@pytest.mark.parametrize("name", ["memory.py", "overheads.py", "remote.py", "scale.py"])
def test_further_benchmarks_run(tmp_path, name):
    shown, results = run(tmp_path=tmp_path, name=name)
    assert results["rows"]
    assert results["targets"]
    assert all(own["what"] in shown for own in results["targets"])
