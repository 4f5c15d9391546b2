"""What a learner's code can do to the machine it runs on: little, and nothing that stays."""

import contextlib
import io
import os
import re
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from deepconv.check import child
from deepconv.check.report import check_file
from deepconv.check.sandbox import sandbox
from tests.check.inside import changed
from tests.check.test_check import IM2COL, PAIR, checked

NOSY = """
    import os
    import resource
    import sys

    from helper import NAME

    def tell():
        open("note", "w").write("x" * 100)
        limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("AS", "CPU", "FSIZE", "CORE")]
        words = [NAME, repr(sys.stdin.read()), os.getcwd(), sorted(os.environ), limits]
        raise ValueError("; ".join(map(str, words)))

    tell()
"""


def test_the_code_sees_no_secrets_writes_elsewhere_and_is_limited(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "12345")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helper.py").write_text("NAME = 'beside it'")
    with pytest.raises(ValueError, match=r"line 12: ValueError: beside it") as raised:
        checked(tmp_path, NOSY, seconds=7)
    name, typed, folder, names, limits = str(raised.value).partition("ValueError: ")[2].split("; ")
    assert (name, typed) == ("beside it", "''")
    assert not Path(folder).exists()
    assert Path(folder) != tmp_path
    assert set(re.findall(r"'(\w+)'", names)) <= {
        "DEEPCONV_COMPILED", "LANG", "LC_ALL", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH",
    }  # fmt: skip
    assert limits == str([(2**32, 2**32), (70, 71), (2**20, 2**20), (0, 0)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "my_conv.py"]


def alive(word):
    """Return the processes on whose command line a word stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if word in path.read_bytes().decode(errors="replace") else []
    return found


@pytest.mark.parametrize(
    ("end", "words"),
    [("", None), pytest.param("time.sleep(60)", "it takes longer than 1 seconds", marks=pytest.mark.full)],
)
def test_what_the_code_started_ends_with_it(tmp_path, end, words):
    seconds = f"3{os.getpid()}.5"
    started = f"import subprocess, time\nsubprocess.Popen(['sleep', '{seconds}'])\n"
    text = textwrap.dedent(IM2COL) + started + end
    began = time.monotonic()
    with pytest.raises(ValueError, match=words) if words else contextlib.nullcontext():
        checked(tmp_path, text, seconds=1 if words else 10)
    assert time.monotonic() - began < 8 or words is None  # Python's own start included
    for _ in range(100):
        if not alive(seconds):
            return
        time.sleep(0.02)
    pytest.fail("a process that the code started is still there")


def test_processor_time_is_limited_too(tmp_path):
    """Many calls that each keep to their time may not go on forever."""
    with pytest.raises(ValueError, match="it takes more processor time than it may"):
        checked(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGXCPU)")


@pytest.mark.full
def test_an_answer_too_long_is_not_taken(tmp_path):
    text = "import numpy as np\ndef im2col(x, kernel_size):\n    return np.zeros(9 * 10**6)\n"
    with pytest.raises(ValueError, match="answered with something else"):
        checked(tmp_path, text)


def message(**arrays):
    packed = io.BytesIO()
    np.savez(packed, head__=np.frombuffer(b"{}", np.uint8), **arrays)
    return io.BytesIO(len(packed.getvalue()).to_bytes(8, "little") + packed.getvalue())


def test_an_answer_is_numbers_and_no_pickle():
    assert child.read(message(x=np.arange(3.0)), 10_000)[1]["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="allow_pickle"):
        child.read(message(x=np.array([{}], object)), 10_000)
    with pytest.raises(ValueError, match="more than 100"):
        child.read(message(x=np.arange(3.0)), 100)


def test_an_error_is_told_in_few_words(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["child", "nothing.py"])
    assert len(child._told(ValueError("x" * 10**6))["error"]) == 500


def test_a_file_too_long_is_not_run(tmp_path):
    file = tmp_path / "long.py"
    file.write_text("#" * 200_001)
    with pytest.raises(ValueError, match="200,001 bytes, more than 200,000; give the convolution alone"):
        check_file(file)


@pytest.mark.full
def test_a_slow_start_is_not_the_codes(tmp_path):
    """Python and NumPy take longer than some codes may, on a busy machine."""
    file = tmp_path / "plain.py"
    file.write_text(textwrap.dedent(IM2COL))
    with sandbox(file, seconds=0.15) as process:
        assert [offer["name"] for offer in process.offers] == ["im2col", "col2im"]


@pytest.mark.full
def test_what_came_out_before_the_way_back_raised_counts(tmp_path):
    slip = ("db = dout.sum(axis=(0, 2, 3))", "raise RuntimeError('not yet')")
    report = checked(tmp_path, PAIR, slip)
    found = {finding.result: finding for finding in report.findings if finding.name.startswith("conv_")}
    assert (found["the output"].right, found["the output"].tried) == (12, 12)
    assert found["the bias's gradient"].problem == "RuntimeError: not yet"
    at = changed(PAIR, slip).splitlines().index("    raise RuntimeError('not yet')") + 1
    assert found["the bias's gradient"].line == at
