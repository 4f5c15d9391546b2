"""The one place where work is split: whole ranges, exceptions that arrive, threads and forks that don't harm."""

import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.engine.kernels import threads, workspace


def run_alone(code):
    """Run code in a process of its own, as forking one with threads is a sin in a test run."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@given(tasks=st.integers(0, 40), count=st.integers(1, 9))
def test_ranges_together_are_all_tasks(tasks, count):
    ranges = []
    threads.share(lambda start, stop: ranges.append((start, stop)), tasks, count)
    assert len(ranges) == min(tasks, count)
    assert all(start < stop for start, stop in ranges)
    assert [i for r in sorted(ranges) for i in range(*r)] == list(range(tasks))


def test_the_threads_run_beside_each_other_and_the_caller_is_one_of_them():
    meeting = threading.Barrier(3, timeout=20)  # broken, and raising, unless three are there at once
    names = []

    def work(start, stop):
        names.append(threading.current_thread())
        meeting.wait()

    threads.share(work, 3, 3)
    assert len(set(names)) == 3
    assert threading.current_thread() in names


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_exception_arrives_once_all_have_ended(failing):
    ended = []

    def work(start, stop):
        if start == failing:
            raise ValueError(f"task {start}")
        threading.Event().wait(0.05)
        ended.append(start)

    with pytest.raises(ValueError, match=f"task {failing}"):
        threads.share(work, 3, 3)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    threads.share(lambda start, stop: ended.append("again"), 3, 3)
    assert ended[2:] == ["again"] * 3


def test_two_python_threads_at_once():
    """Each gets all of its own work done, however the pool is shared and grown meanwhile."""

    def caller(me):
        for i in range(200):

            def work(start, stop, i=i):
                seen[me][i].append((start, stop))

            threads.share(work, 5, 2 + me)

    seen = [[[] for _ in range(200)] for _ in range(4)]
    callers = [threading.Thread(target=caller, args=(me,)) for me in range(4)]
    for c in callers:
        c.start()
    for c in callers:
        c.join(timeout=60)
        assert not c.is_alive()
    for mine in seen:
        for ranges in mine:
            assert [i for r in sorted(ranges) for i in range(*r)] == list(range(5))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_and_grandchild_share_work():
    code = """
import os, sys
from deepconv.engine.kernels.threads import share

def shared():
    done = []
    share(lambda start, stop: done.append(stop - start), 6, 3)
    return sum(done)

def child(generations):
    if not generations:
        return 0
    pid = os.fork()
    if pid == 0:
        own = shared()
        os._exit(0 if own == 6 and child(generations - 1) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

print(shared(), child(2), shared())
"""
    assert run_alone(code) == ["6", "0", "6"]


def test_small_work_stays_on_one_thread():
    assert threads.worth(8, 0) == threads.worth(8, 100_000) == 1
    assert threads.worth(8, 10**12) == 8
    assert threads.worth(1, 10**12) == 1
    assert 1 < threads.worth(64, 40_000_000) < 64


def test_scratch_is_each_threads_own_and_kept():
    addresses = {}
    meeting = threading.Barrier(2, timeout=20)

    def work(start, stop):
        first = workspace.scratch(1000)
        meeting.wait()
        addresses[start] = (first, workspace.scratch(500))

    threads.share(work, 2, 2)
    assert all(first == second and first % 64 == 0 for first, second in addresses.values())
    assert abs(addresses[0][0] - addresses[1][0]) >= 1000
    workspace.release()
    assert workspace.scratch(10) % 64 == 0


def test_scratch_has_as_many_bytes_as_were_asked_for():
    """Also behind its alignment, and where a little more is asked for than there was."""
    workspace.release()
    for size in (1, 1000, 1001, 1063, 1064, 1065, 2000, 100):
        address, buffer = workspace.scratch(size), workspace._kept.buffer
        assert buffer.ctypes.data <= address
        assert address + size <= buffer.ctypes.data + buffer.nbytes
    workspace.release()
