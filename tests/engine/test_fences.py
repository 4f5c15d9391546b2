"""No compiled algorithm reads or writes beside its operands, its result, its tables or its scratch memory.

And what a pass says it takes is what it takes, also on several threads.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deepconv.engine import machine
from deepconv.engine.choice import TABLE, choose
from deepconv.engine.kernels import memory, team, threads, workspace
from deepconv.engine.problem import PASSES
from tests.cases import Case
from tests.engine.fences import COMPILED, FILES
from tests.engine.test_algorithms import operands, problem_of

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
@pytest.mark.parametrize("how", ["some", pytest.param("everything", marks=pytest.mark.full)])
def test_nothing_is_touched_beyond_the_fences(how):
    """In a process of its own, which the system ends at the first number too far."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.engine.fences", how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) >= 6


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", COMPILED)
def test_the_memory_of_several_threads_counts(which, name, monkeypatch):
    """What three threads ask for, and the prepared weight, is what the plan says; the limit holds for all of it."""
    asked, running = {}, [0]

    def scratch(size):
        asked[running[0]] = max(size, asked.get(running[0], 0))
        return workspace.scratch(size)

    def share(work, tasks, count, pieces=1, *, multiply_adds=0):
        """As `threads.share`, but each range has a thread to itself, however fast others are."""
        bounds = [tasks * i // count for i in range(count + 1)]
        for running[0] in range(1, count):
            with ThreadPoolExecutor(1) as other:
                other.submit(work, *bounds[running[0] : running[0] + 2]).result()
        running[0] = 0
        work(*bounds[:2])

    def run(calls, tasks, count, own, pieces=1, *, multiply_adds=0):
        """As `team.run`, but each thread's calls are made in turn, each in memory of its own."""
        bounds = [tasks * i // count for i in range(count + 1)]
        for i, piece in enumerate(pairwise(bounds)):
            memory = np.empty(own[1], np.uint8)
            if i:
                asked[i] = max(own[1], asked.get(i, 0))
            for function, words in calls(*piece, memory.ctypes.data if i else own[0]):
                function(*words)

    monkeypatch.setattr(threads, "_SMALLEST", 1)
    monkeypatch.setattr(threads, "share", share)
    monkeypatch.setattr(team, "run", run)
    for file in FILES:
        monkeypatch.setattr(import_module(f"deepconv.engine.algorithms.{file}"), "scratch", scratch)
    groups = {"depthwise": 12, "grouped": 6}.get(name, 1)
    case = Case("threads", (6, 12, 43, 41), (48, 12 // groups, 3, 3), dict(padding=1, groups=groups))
    x, w, dy = case.arrays(np.float32)
    (algorithm,) = (a for a in TABLE[which] if a.name == name)
    alone = algorithm.workspace(problem_of(case, which, np.float32))
    for limit in (1 << 40, int(alone * 1.5)):
        problem = problem_of(case, which, np.float32, threads=3, workspace_limit=limit)
        if limit < 1 << 40 and algorithm.refuses(problem) is not None:
            continue
        asked.clear()
        plan = choose(problem, name)
        arguments = operands(plan, x, w, dy)
        plan.run(*arguments)
        prepared = sum(a.nbytes for a in arguments if a is not None and not any(a is b for b in (x, w, dy)))
        assert sum(asked.values()) + prepared <= plan.workspace <= limit
        assert plan.workspace <= 1.1 * (sum(asked.values()) + prepared) + 2000


def test_compiled_algorithms_leave_exact_sums_to_others():
    case = Case("exact", (2, 3, 9, 9), (3, 1, 3, 3), dict(groups=3))
    for which in PASSES:
        for algorithm in TABLE[which]:
            if algorithm.name in COMPILED:
                assert "exact" in algorithm.refuses(problem_of(case, which, exact=True))
                assert algorithm.refuses(problem_of(case, which, np.int64, exact=True)) is not None


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", COMPILED)
def test_doubles_cost_more(which, name):
    """A register holds half as many of them."""
    groups = 96 if name == "depthwise" else 1  # whole register tiles for any width of vectors
    case = Case("cost", (8, 96, 60, 60), (96, 96 // groups, 3, 3), dict(padding=1, groups=groups))
    (algorithm,) = (a for a in TABLE[which] if a.name == name)
    single, double = (algorithm.cost(problem_of(case, which, dtype)) for dtype in (np.float32, np.float64))
    assert 1.7 * single < double < 2.6 * single


def test_the_zeros_of_a_relu_are_written_with_the_sums():
    """Else the choice writes them in a pass of its own, and nobody would see whether the kernel does."""
    folding = {algorithm.name for algorithm in TABLE["forward"] if algorithm.folds_relu}
    assert folding >= set(COMPILED)


def test_operands_that_are_not_aligned_are_copied():
    a = np.frombuffer(b"\0" + np.arange(6.0).tobytes(), np.uint8)[1:].view(np.float64)
    b = memory.plain(a, a.dtype)
    assert b.flags.aligned
    np.testing.assert_array_equal(a, b)
