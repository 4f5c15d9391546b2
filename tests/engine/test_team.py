"""Kernels' calls on several threads: all are made, once, in their thread's memory, whoever comes late or not at all."""

import ast
import ctypes
import dis
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.engine import machine
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library, listed
from deepconv.engine.kernels.meeting_places import WORDS

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")

F32 = np.dtype(np.float32)
STEP = 64
"""Numbers of a task: whole vectors of any width."""


def adding(tasks, seed=0):
    """Return two parts of random numbers, and calls of which each task adds the second part's to the first."""
    m = np.random.default_rng(seed).standard_normal((2, tasks, STEP)).astype(np.float32)
    kernel = library("winograd_weights").add_parts[F32]

    def calls(start, stop, own):
        for task in range(start, stop):
            yield kernel, (m, 2, tasks * STEP, task * STEP, (task + 1) * STEP)

    return m, calls


@given(tasks=st.integers(0, 40), count=st.integers(1, 5), pieces=st.integers(1, 5))
def test_each_call_is_made_once(tasks, count, pieces):
    m, calls = adding(tasks)
    expected = m[0] + m[1]
    team.run(calls, tasks, count, (0, 0), pieces)
    np.testing.assert_array_equal(m[0], expected)


def test_each_type_has_its_own_machine_code():
    for dtype in (np.float32, np.float64):
        m = np.array([[1] * STEP, [1 / 3] * STEP], dtype)
        words = (m, 2, STEP, 0, STEP)
        kernel = library("winograd_weights").add_parts[m.dtype]
        team.run(lambda start, *_: [(kernel, words)] * (start == 0), 2, 2, (0, 0))  # noqa: B023 (called at once)
        assert set(m[0]) == {dtype(1) + dtype(1 / 3)}


def test_kernels_of_other_numbers_are_refused():
    """Machine code calls kernels with whole numbers and addresses only."""
    with pytest.raises(RuntimeError, match="lacks"):
        listed(library("pictures").correlate[F32])


def test_the_ranges_are_pieces_of_neighbours_for_each_thread():
    """A thread's own memory is a stand-in until it is known who makes the call."""
    asked = []

    def calls(start, stop, own):
        asked.append((start, stop, own == 5))
        return []

    team.run(calls, 10, 2, (5, 0), 2)
    assert asked == [(0, 2, False), (2, 5, False), (5, 7, False), (7, 10, False)]
    asked.clear()
    team.run(calls, 10, 1, (5, 0), 2)
    assert asked == [(0, 10, True)]


def test_much_work_goes_in_rounds_which_are_whole_tasks():
    """Python looks for Ctrl-C between them."""
    asked = []

    def calls(start, stop, own):
        asked.append((start, stop))
        return []

    for count in (1, 2):
        asked.clear()
        team.run(calls, 23, count, (0, 0), multiply_adds=4 * count * threads.LARGEST)
        assert len(asked) == 5 * count
        assert [i for r in asked for i in range(*r)] == list(range(23))
        asked.clear()
        team.run(calls, 2, count, (0, 0), multiply_adds=100 * threads.LARGEST)
        assert sorted(asked) == [(0, 1), (1, 2)]


def test_each_thread_has_memory_of_its_own():
    """Every call adds one to what stands in its thread's memory, so together they add as many as there are."""
    tasks, room = 60, 2 * STEP * 4
    add = library("winograd_weights").add_parts[F32]

    def calls(start, stop, own):
        for _ in range(start, stop):
            yield add, (own, 2, STEP, 0, STEP)

    team.run(lambda *_: (), 2, 2, (0, room))  # so that there is a helper
    mine, helper = np.ones(2 * STEP, np.float32), team._idle[-1]
    others = np.ctypeslib.as_array((ctypes.c_float * (2 * STEP)).from_address(helper.told(room)[3]))
    others[:] = 1
    team.run(calls, tasks, 2, (mine.ctypes.data, room), 10)
    for memory in (mine, others):
        assert set(memory[:STEP]) == {memory[0]}
        assert set(memory[STEP:]) == {1.0}
    assert mine[0] + others[0] == 2 + tasks


def test_who_leads_takes_what_others_have_not_begun():
    """A table for three threads of which two never come."""
    m, calls = adding(30)
    expected = m[0] + m[1]
    table, room = team._table(calls, (0, 30), 3, 4), array("q", bytes(8 * WORDS))
    team.KERNELS.lead[F32](table.buffer_info()[0], 0, room.buffer_info()[0], 0, 0, *team._waiting())
    np.testing.assert_array_equal(m[0], expected)


def test_without_a_further_thread_the_caller_does_it_all(monkeypatch):
    def none(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(team, "_idle", [])
    monkeypatch.setattr(team._Helper, "__init__", none)
    m, calls = adding(9)
    expected = m[0] + m[1]
    team.run(calls, 9, 3, (0, 0))
    np.testing.assert_array_equal(m[0], expected)
    assert team._idle == []


def test_no_more_threads_are_asked_for_than_there_are_tasks(monkeypatch):
    asked = []
    monkeypatch.setattr(team, "_gather", lambda helpers, count: asked.append(count))
    team.run(adding(3)[1], 3, 8, (0, 0))
    assert asked == [2]


def test_what_was_made_for_a_thread_that_does_not_start_is_given_back(monkeypatch):
    """Where the system gives no more threads, every call asks for one again."""

    def none(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(team, "_idle", [])
    monkeypatch.setattr(threading.Thread, "start", none)
    calls = adding(4)[1]
    team.run(calls, 4, 2, (0, 0))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            team.run(calls, 4, 2, (0, 0))
        assert tracemalloc.get_traced_memory()[0] - before < 50 * 500
    finally:
        tracemalloc.stop()


def test_helpers_do_take_part():
    """Of many regions with long pieces, some are others': their processor time grows."""
    tasks = 4
    m = np.ones((2, tasks, 1 << 16), np.float32)
    kernel = library("winograd_weights").add_parts[F32]
    step = 1 << 16

    def calls(start, stop, own):
        for task in range(start, stop):
            for _ in range(20):
                yield kernel, (m, 2, tasks * step, task * step, (task + 1) * step)

    before = threading.active_count()
    for _ in range(20):
        team.run(calls, tasks, 3, (0, 0))
    assert set(m[0].ravel()) == {1 + 20 * 20.0}
    assert threading.active_count() >= min(before, 3)
    assert len(team._idle) >= 2


def test_helpers_come_back_whatever_the_calls_raise():
    team.run(adding(4)[1], 4, 3, (0, 0))
    idle = list(team._idle)

    def calls(start, stop, own):
        raise ValueError("no such call")

    with pytest.raises(ValueError, match="no such call"):
        team.run(calls, 4, 3, (0, 0))
    assert team._idle == idle
    m, good = adding(4)
    expected = m[0] + m[1]
    team.run(good, 4, 3, (0, 0))
    np.testing.assert_array_equal(m[0], expected)


def test_helpers_come_back_whatever_happens_while_more_are_made(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    team.run(adding(4)[1], 4, 3, (0, 0))
    few = team._idle[-2:]
    monkeypatch.setattr(team, "_idle", list(few))
    monkeypatch.setattr(team._Helper, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        team.run(adding(4)[1], 4, 4, (0, 0))
    assert team._idle == few


def test_no_helper_is_lost_wherever_ctrl_c_comes(monkeypatch):
    """Python raises what a signal's handler raises after a call, at a function's begin, and where a loop turns."""
    calls = adding(4)[1]
    team.run(calls, 4, 3, (0, 0))
    monkeypatch.setattr(team, "_idle", team._idle[-2:])
    last, left = {}, [0]

    def trace(frame, event, _):
        if frame.f_code.co_filename != team.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before = last.get(frame, "RESUME")
            last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before.startswith(("CALL", "RESUME", "JUMP_BACKWARD")) and last[frame] != "CACHE":
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt
        return trace

    idle, other = set(team._idle), sys.gettrace()
    for nth in range(1, 1000):
        last.clear()
        left[0] = nth
        sys.settrace(trace)
        try:
            team.run(calls, 4, 3, (0, 0))
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(other)
        assert set(team._idle) == idle
    assert nth > 20
    assert set(team._idle) == idle


def test_sleeping_and_waking_a_thousand_times():
    """Whoever is about to sleep just when another wakes him must not sleep on: this would hang."""
    rng = np.random.default_rng(3)
    for turn in range(1000):
        tasks, count = int(rng.integers(1, 7)), int(rng.integers(2, 5))
        m, calls = adding(tasks, turn)
        expected = m[0] + m[1]
        team.run(calls, tasks, count, (0, 0), int(rng.integers(1, 4)))
        np.testing.assert_array_equal(m[0], expected)


def test_without_patience_too(monkeypatch):
    """A leader that sleeps at once."""
    _, acquire, release = team._waiting()
    monkeypatch.setattr(team, "_waiting", lambda: (0, acquire, release))
    test_sleeping_and_waking_a_thousand_times()


def test_two_python_threads_at_once():
    wrong = []

    def caller(me):
        for turn in range(200):
            m, calls = adding(5, turn)
            expected = m[0] + m[1]
            team.run(calls, 5, 2 + me, (0, 0), 2)
            if not np.array_equal(m[0], expected):
                wrong.append((me, turn))

    callers = [threading.Thread(target=caller, args=(me,)) for me in range(4)]
    for c in callers:
        c.start()
    for c in callers:
        c.join(timeout=60)
        assert not c.is_alive()
    assert wrong == []


_ALONE = """
import os, sys
import numpy as np
import deepconv as dc
dc.set_threads(3)
rng = np.random.default_rng(0)
x, w = rng.standard_normal((16, 16, 61, 63), np.float32), rng.standard_normal((24, 16, 3, 3), np.float32)

def convolve():
    return dc.conv(x, w, padding=1, algorithm="winograd")

expected = convolve()
"""


def run_alone(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _ALONE + code],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_makes_itself_others():
    code = """
pid = os.fork()
if pid == 0:
    os._exit(0 if np.array_equal(convolve(), expected) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), np.array_equal(convolve(), expected))
"""
    assert run_alone(code) == ["0", "True"]


def test_a_process_ends_while_helpers_sleep():
    assert run_alone("print(len(sys.modules['deepconv.engine.kernels.team']._idle))") == ["2"]


def test_a_process_ends_while_a_thread_of_it_convolves():
    """Python takes a daemon's variables away, megabytes of scratch memory here, while it computes without the GIL."""
    code = """
import threading, time
x, w = np.zeros((64, 256, 7, 7), np.float32), np.zeros((512, 256, 3, 3), np.float32)

def endless():
    while True:
        convolve()

class Late:
    def __del__(self, sleep=time.sleep):  # while the daemon computes on
        sleep(0.1)

late = Late()
threading.Thread(target=endless, daemon=True).start()
time.sleep(0.1)
print("end")
"""
    assert run_alone(code) == ["end"]


@pytest.mark.skipif(sys.platform == "win32", reason="no signal to send")
def test_ctrl_c_gets_out_between_rounds():
    m, good = adding(300)
    seen = []

    def calls(start, stop, own):
        seen.append(start)
        if len(seen) == 7:
            signal.raise_signal(signal.SIGINT)
        return good(start, stop, own)

    idle = len(team._idle)
    with pytest.raises(KeyboardInterrupt):
        team.run(calls, 300, 3, (0, 0), multiply_adds=1000 * threads.LARGEST)
    assert len(seen) < 20
    assert len(team._idle) >= idle
    expected = m[0] + m[1]
    team.run(good, 300, 3, (0, 0))
    np.testing.assert_array_equal(m[0][-50:], expected[-50:])


def test_no_kernel_takes_more_words_than_there_is_room_for():
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in Path(team.__file__).parent.glob("*.py"))
    counts = [
        len(node.args.args)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "kernel" in map(ast.unparse, node.decorator_list)
    ]
    assert len(counts) > 30
    assert max(counts) <= WORDS
