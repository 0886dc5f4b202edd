from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.clusters.machine import COMFORTABLE, LEAST, Machine, round_down, size
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
machines = st.builds(Machine, cores=st.integers(1, 512), memory=st.integers(GIB, 4096 * GIB))


@given(machines, st.integers(1, 64))
def test_all_clusters_together_leave_memory_for_the_rest_of_the_machine(machine: Machine, parallel: int) -> None:
    try:
        found = size(machine, parallel=parallel)
    except UsageError:
        assert machine.memory * 0.8 / parallel < 1.2 * LEAST
        return
    assert parallel * found.workers * found.memory <= 0.8 * machine.memory
    assert found.memory >= LEAST
    assert found.workers == 1 or found.memory >= COMFORTABLE


@given(machines, st.integers(1, 64))
def test_threads_never_exceed_the_cores_of_the_share(machine: Machine, parallel: int) -> None:
    try:
        found = size(machine, parallel=parallel)
    except UsageError:
        return
    share = max(1, machine.cores // parallel)
    assert 1 <= found.workers * found.threads <= share
    assert found.workers * found.threads > share / 2


@given(st.integers(1, 4), st.integers(4, 64))
def test_a_small_machine_has_one_worker_a_core(cores: int, gibibytes: int) -> None:
    found = size(Machine(cores=cores, memory=gibibytes * GIB))
    assert (found.workers, found.threads) == (cores, 1)


@pytest.mark.parametrize(
    ("cores", "workers", "threads"), [(6, 3, 2), (7, 3, 2), (8, 4, 2), (13, 4, 3), (16, 4, 4), (61, 10, 6), (64, 8, 8)]
)
def test_a_large_machine_has_some_workers_with_some_threads(cores: int, workers: int, threads: int) -> None:
    found = size(Machine(cores=cores, memory=512 * GIB))
    assert (found.workers, found.threads) == (workers, threads)


@given(st.integers(LEAST, 2**45))
def test_a_round_figure_is_just_below_and_stays_when_rounded_again(value: int) -> None:
    rounded = round_down(value)
    assert 0.875 * value < rounded <= value
    assert round_down(rounded) == rounded


def test_a_few_megabytes_more_or_less_give_the_same_cluster() -> None:
    kernels = [size(Machine(cores=2, memory=16 * GIB - lost * 2**20)) for lost in (150, 300, 400)]
    assert len(set(kernels)) == 1


def test_too_many_clusters_for_the_memory_say_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"a worker needs 256 MiB") as error:
        size(Machine(cores=2, memory=GIB), parallel=16)
    assert "-n" in str(error.value.hint)


@given(machines, st.integers(1, 8), st.integers(1, 8))
def test_what_the_user_fixed_stays(machine: Machine, workers: int, threads: int) -> None:
    found = size(machine, workers=workers, threads=threads, least=0)
    assert (found.workers, found.threads) == (workers, threads)
    assert found.workers * found.memory <= 0.8 * machine.memory


def machine_files(root: Path, *, total: int, group: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal:       {total // 1024} kB\nMemFree:        12 kB\n")
    (root / "proc/self/cgroup").write_text(group)


def test_total_memory_counts_and_free_memory_does_not(tmp_path: Path) -> None:
    machine_files(tmp_path, total=8 * GIB, group="0::/\n")
    assert Machine.detect(tmp_path).memory == 8 * GIB


def test_limits_of_a_container_are_kept(tmp_path: Path) -> None:
    machine_files(tmp_path, total=64 * GIB, group="0::/kubepods/pod1\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{4 * GIB}\n")
    (group / "cpu.max").write_text("150000 100000\n")
    assert Machine.detect(tmp_path) == Machine(cores=1, memory=4 * GIB)


def test_the_limit_of_a_parent_group_counts_too(tmp_path: Path) -> None:
    machine_files(tmp_path, total=64 * GIB, group="0::/slice/service\n")
    inner = tmp_path / "sys/fs/cgroup/slice/service"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "memory.max").write_text(f"{2 * GIB}\n")
    assert Machine.detect(tmp_path).memory == 2 * GIB


def test_limits_of_the_older_control_groups_are_kept(tmp_path: Path) -> None:
    machine_files(tmp_path, total=64 * GIB, group="4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n")
    memory, processor = (tmp_path / "sys/fs/cgroup" / each for each in ("memory", "cpu,cpuacct"))
    memory.mkdir(parents=True)
    processor.mkdir(parents=True)
    (memory / "memory.limit_in_bytes").write_text(f"{3 * GIB}\n")
    (processor / "cpu.cfs_quota_us").write_text("100000\n")
    (processor / "cpu.cfs_period_us").write_text("100000\n")
    assert Machine.detect(tmp_path) == Machine(cores=1, memory=3 * GIB)


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    machine_files(tmp_path, total=64 * GIB, group="4:memory:/\n3:cpu,cpuacct:/\n")
    for name in ("memory", "cpu,cpuacct"):
        (tmp_path / "sys/fs/cgroup" / name).mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us").write_text("100000\n")
    assert Machine.detect(tmp_path).memory == 64 * GIB


def test_this_machine_is_detected() -> None:
    found = Machine.detect()
    assert found.cores >= 1
    assert found.memory >= LEAST
    assert found == Machine.detect()
