"""What this process may take, read from files in the formats of the kernel."""

import os
from pathlib import Path

import pytest

from batchup.memory.limits import available_cpus, available_memory

MB = 1 << 20


@pytest.fixture
def root(tmp_path):
    """A system with 1000 MB free; `root(path, text)` writes a file of it."""

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return tmp_path

    write("proc/meminfo", f"MemTotal: {4000 * 1024} kB\nMemAvailable: {1000 * 1024} kB\nHugePages_Total: 0\n")
    return write


def v2(root, group, limit, used, inactive_file):
    root(f"sys/fs/cgroup/{group}/memory.max", f"{limit}\n")
    root(f"sys/fs/cgroup/{group}/memory.current", f"{used}\n")
    return root(f"sys/fs/cgroup/{group}/memory.stat", f"anon 5\ninactive_file {inactive_file}\n")


def test_no_groups(root):
    assert available_memory(root("etc/empty", "")) == 1000 * MB
    assert available_cpus(root("etc/empty", "")) == len(os.sched_getaffinity(0))


def test_what_files_have_been_read_into_counts_as_free(root):
    root("proc/self/cgroup", "0::/\n")
    assert available_memory(v2(root, ".", 800 * MB, 790 * MB, 0)) == 10 * MB
    assert available_memory(v2(root, ".", 800 * MB, 790 * MB, 700 * MB)) == 710 * MB
    assert available_memory(v2(root, ".", 800 * MB, 900 * MB, 50 * MB)) == 0
    assert available_memory(v2(root, ".", "max", 790 * MB, 0)) == 1000 * MB


def test_the_limits_of_all_groups_hold(root):
    root("proc/self/cgroup", "0::/slice/job/step\n")
    v2(root, "slice/job/step", "max", 1 * MB, 0)
    v2(root, "slice/job", 300 * MB, 100 * MB, 0)
    assert available_memory(v2(root, "slice", 900 * MB, 100 * MB, 0)) == 200 * MB
    assert available_memory(v2(root, "slice", 150 * MB, 100 * MB, 0)) == 50 * MB


def test_groups_of_version_1(root):
    root("proc/self/cgroup", "9:cpuset:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    group = "sys/fs/cgroup/memory/docker/abc"
    root(f"{group}/memory.limit_in_bytes", f"{500 * MB}\n")
    root(f"{group}/memory.usage_in_bytes", f"{400 * MB}\n")
    assert available_memory(root(f"{group}/memory.stat", f"total_inactive_file {30 * MB}\n")) == 130 * MB
    root("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    assert available_cpus(root("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n")) == len(os.sched_getaffinity(0))
    assert available_cpus(root("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "150000\n")) == 1


def test_the_path_of_a_container_that_shows_the_hosts(root):
    """Where the groups of a container are mounted at the top, and its path is that of the host."""
    for path in ("/docker/abc", "/../../other"):
        root("proc/self/cgroup", f"0::{path}\n")
        assert available_memory(v2(root, ".", 800 * MB, 700 * MB, 0)) == 100 * MB


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("900000 100000", None)]
)
def test_a_quota_of_cores(root, limit, cores):
    root("proc/self/cgroup", "0::/job\n")
    bound = len(os.sched_getaffinity(0))
    found = available_cpus(root("sys/fs/cgroup/job/cpu.max", f"{limit}\n"))
    assert found == min(bound, cores or 9)


def test_a_system_without_any_of_it(tmp_path):
    assert available_memory(tmp_path) > 0
    assert available_cpus(tmp_path) >= 1


def test_this_system():
    free = int(next(x for x in Path("/proc/meminfo").read_text().splitlines() if "MemAvail" in x).split()[1])
    assert 0 < available_memory() <= free * 1024 * 1.1
