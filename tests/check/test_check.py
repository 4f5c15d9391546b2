"""The checker is checked: right code passes, each planted slip is found and named, bad files are survived."""

import json
import textwrap
from pathlib import Path

import pytest

from deepconv.check.report import check_file
from deepconv.cli.app import run
from tests.check.inside import changed, examined

IM2COL = """
    import numpy as np

    def im2col(x, kernel_size, stride=1, padding=0):
        k1, k2 = kernel_size
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        n, c, h, w = x.shape
        rows = []
        for i in range(0, h - k1 + 1, stride):
            for j in range(0, w - k2 + 1, stride):
                rows.append(x[:, :, i:i + k1, j:j + k2].reshape(n, -1))
        return np.stack(rows, axis=1)

    def col2im(cols, image_size, kernel_size, stride=1, padding=0):
        (h, w), (k1, k2) = image_size, kernel_size
        n, c = len(cols), cols.shape[2] // (k1 * k2)
        x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
        wide = (w + 2 * padding - k2) // stride + 1
        for row in range(cols.shape[1]):
            i, j = row // wide * stride, row % wide * stride
            x[:, :, i:i + k1, j:j + k2] += cols[:, row].reshape(n, c, k1, k2)
        return x[:, :, padding:padding + h, padding:padding + w]
"""

PAIR = (
    IM2COL
    + """
    def conv_forward(x, w, b, conv_param):
        s, p = conv_param["stride"], conv_param["pad"]
        cols = im2col(x, w.shape[2:], s, p)
        y = cols @ w.reshape(len(w), -1).T + b
        h, wide = ((size + 2 * p - k) // s + 1 for size, k in zip(x.shape[2:], w.shape[2:]))
        return y.transpose(0, 2, 1).reshape(len(x), len(w), h, wide), (x, w, b, conv_param)

    def conv_backward(dout, cache):
        x, w, b, conv_param = cache
        s, p = conv_param["stride"], conv_param["pad"]
        rows = dout.reshape(len(x), len(w), -1).transpose(0, 2, 1)
        dx = col2im(rows @ w.reshape(len(w), -1), x.shape[2:], w.shape[2:], s, p)
        cols = im2col(x, w.shape[2:], s, p)
        dw = np.tensordot(rows, cols, ((0, 1), (0, 1))).reshape(w.shape)
        db = dout.sum(axis=(0, 2, 3))
        return dx, dw, db
"""
)

LAYER = (
    IM2COL
    + """
    class MyConv:
        def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
            self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
            self.weight = np.zeros((out_channels, in_channels, *kernel_size))
            self.bias = np.zeros(out_channels)

        def forward(self, x):
            self.x = x
            cols = im2col(x, self.kernel_size, self.stride, self.padding)
            y = cols @ self.weight.reshape(len(self.weight), -1).T + self.bias
            sizes = [(n + 2 * self.padding - k) // self.stride + 1 for n, k in zip(x.shape[2:], self.kernel_size)]
            return y.transpose(0, 2, 1).reshape(len(x), len(self.weight), *sizes)

        def backward(self, dy):
            rows = dy.reshape(*dy.shape[:2], -1).transpose(0, 2, 1)
            cols = im2col(self.x, self.kernel_size, self.stride, self.padding)
            self.dw = np.tensordot(rows, cols, ((0, 1), (0, 1))).reshape(self.weight.shape)
            self.db = rows.sum(axis=(0, 1))
            back = rows @ self.weight.reshape(len(self.weight), -1)
            return col2im(back, self.x.shape[2:], self.kernel_size, self.stride, self.padding)
"""
)

PLAIN = """
    import numpy as np

    def conv2d(image, kernel, stride=1, padding=0):
        image = np.pad(image, padding)
        (h, w), (r, s) = image.shape, kernel.shape
        out = np.zeros(((h - r) // stride + 1, (w - s) // stride + 1))
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = (image[i * stride:i * stride + r, j * stride:j * stride + s] * kernel).sum()
        return out
"""


def checked(tmp_path, text, *changes, **options):
    file = tmp_path / "my_conv.py"
    file.write_text(changed(text, *changes))
    return check_file(file, **options)


def wrong(report):
    return {(f.name, f.result): f for f in report.findings if f.case}


@pytest.mark.parametrize(
    ("text", "count", "cases"),
    [pytest.param(IM2COL, 2, 12, marks=pytest.mark.full), (PAIR, 6, 12), (LAYER, 6, 12), (PLAIN, 1, 8)],
)
def test_what_is_right_passes(tmp_path, text, count, cases):
    report = checked(tmp_path, text)
    assert report.right
    assert len(report.findings) == count
    assert all(f.tried == f.right for f in report.findings)
    assert report.findings[-1].tried == cases


SLIPS = [
    (PAIR, ("y = cols @ w.", "y = cols @ w[:, :, ::-1, ::-1]."), "the output", "the kernel is flipped"),
    (PLAIN, ("* kernel)", "* kernel[::-1, ::-1])"), "the output", "the kernel is flipped"),
    (PLAIN, ("* kernel)", "* kernel.T)"), "the output", "rows and columns of the kernel are swapped"),
    (PLAIN, ("image = np.pad(image, padding)", ""), "the output", "the padding is missing"),
    (LAYER, (".transpose(0, 2, 1).reshape(len(x)", ".reshape(len(x)"), "the output", "before they are turned"),
    (PAIR, (".T + b", ".T"), "the output", "the bias is missing"),
    (IM2COL, ("w - k2 + 1, stride", "w - k2 + 1"), "the matrix of windows", "heeded down the rows only"),
    (IM2COL, ("i:i + k1, j:j + k2].reshape(n, -1)", "i:i + k1, j:j + k2].swapaxes(2, 3).reshape(n, -1)"),
     "the matrix of windows", "rows and columns of the window are swapped"),
    (IM2COL, ("h - k1 + 1, stride", "h - 2 * padding - k1 + 1, stride"), "the matrix of windows", None),
    (IM2COL, ("j:j + k2] += cols", "j:j + k2] = cols"), "the image put back together", "written over each other"),
    (IM2COL, ("wide = (w + 2 * padding - k2)", "wide = (w - k2)"), "the image put back together", None),
    (PAIR, ("return dx, dw, db", "return dx, dw / len(x), db"), "the weights' gradient", "averaged over the batch"),
    (PAIR, ("return dx, dw, db", "return dx, dw, db / len(x)"), "the bias's gradient", "averaged over the batch"),
    (LAYER, ("self.db = rows.sum(axis=(0, 1))", "self.db = rows.mean(axis=(0, 1))"), "the bias's gradient",
     "averaged over images and places"),
    (PAIR, ("db = dout.sum(axis=(0, 2, 3))", "db = dout.sum(axis=(0, 1, 2))"), "the bias's gradient",
     "summed over the wrong axes"),
    (LAYER, ("back = rows @ self.weight.", "back = rows @ self.weight[:, :, ::-1, ::-1]."), "the input's gradient",
     "the kernel is the wrong way round"),
    (PAIR, ("w.shape[2:], s, p)\n    cols = im2col(x, w.shape[2:], s, p)\n    dw",
            "w.shape[2:], s, p)\n    cols = im2col(x, w.shape[2:], s, p)[:, ::-1]\n    dw"),
     "the weights' gradient", None),
]  # fmt: skip


def assert_named(report, result, words):
    """Hold that a result was found wrong, and why; without words, that no reason is made up."""
    found = [f for f in report.findings if f.case and f.result == result]
    assert found, result
    assert found[0].problem
    if words is None:
        assert found[0].reason is None or "padding" in found[0].reason
    else:
        assert words in found[0].reason


@pytest.mark.full
@pytest.mark.parametrize(("text", "change", "result", "words"), SLIPS)
def test_a_planted_slip_is_found_and_named(text, change, result, words):
    assert_named(examined(text, change), result, words)


# In a process of their own, several in one file, which hide nothing of each other.
TOGETHER = [
    (PAIR, ["the kernel is flipped", "averaged over the batch", "summed over the wrong axes"]),
    (PLAIN, ["the padding is missing"]),
    (
        LAYER,
        ["before they are turned", "averaged over images and places", "the kernel is the wrong way round"],
    ),
    (IM2COL, ["heeded down the rows only", "written over each other"]),
]


@pytest.mark.parametrize(("text", "reasons"), TOGETHER, ids=["pair", "plain", "layer", "columns"])
def test_planted_slips_are_found_and_named(tmp_path, text, reasons):
    slips = {slip[3]: slip for slip in reversed(SLIPS) if slip[0] == text}
    report = checked(tmp_path, text, *(slips[words][1] for words in reasons))
    assert len({finding.result for finding in wrong(report).values()}) == len(reasons)
    for words in reasons:
        assert_named(report, slips[words][2], words)


def test_the_posts_own_code():
    found = wrong(check_file(Path(__file__).parents[1] / "post.py"))
    assert set(found) == {
        ("vec2arr", "the image put back together"),
        *(("class Convolution", f"the {name} gradient") for name in ("input's", "weights'", "bias's")),
    }
    back = found["vec2arr", "the image put back together"]
    assert back.reason.startswith("rows and columns are swapped, as in the post")
    assert "a wide image" in back.case  # a 5 × 5 image with a 3 × 3 kernel hides it
    assert found["class Convolution", "the input's gradient"].reason == back.reason
    for name in ("weights'", "bias's"):
        gradient = found["class Convolution", f"the {name} gradient"]
        assert "averaged over the batch" in gradient.reason
        assert "two images" in gradient.case
        assert gradient.mine == pytest.approx(gradient.theirs / 2)


REPAIRS = {
    "padding": ("(i - a + p) // s * wide + (j - b + p) // s", "(i - a) // s * wide + (j - b) // s"),
    "stride": ("(i - a + p) // s * wide + (j - b + p) // s", "(i - a + p) * wide + (j - b + p)"),
}


GATHER = """
    import numpy as np

    def vec2arr(x, kernel_size, old_shape, stride=1, padding=0):
        (k1, k2), (h, w), s, p = kernel_size, old_shape, stride, padding
        n, c = len(x), x.shape[2] // (k1 * k2)
        wide, flat = (w + 2 * p - k2) // s + 1, x.reshape(len(x), -1)
        out = np.zeros((n, c, h, w))
        for i in range(h):
            for j in range(w):
                for a in range(k1):
                    for b in range(k2):
                        inside = -p <= i - a <= h - k1 + p and -p <= j - b <= w - k2 + p
                        if inside and (i - a + p) % s == 0 and (j - b + p) % s == 0:
                            window = (i - a + p) // s * wide + (j - b + p) // s
                            for ch in range(c):
                                at = window * x.shape[2] + ch * k1 * k2 + a * k2 + b
                                out[:, ch, i, j] += flat[:, at]
        return out
"""


def test_the_posts_gather_repaired_is_right(tmp_path):
    assert checked(tmp_path, GATHER).right


@pytest.mark.parametrize(
    ("slip", "words"), [("padding", "padding is left out of an index"), ("stride", "a missing stride")]
)
def test_the_posts_gather_with_one_slip_left(tmp_path, slip, words):
    found = wrong(checked(tmp_path, GATHER, REPAIRS[slip]))
    assert words in found["vec2arr", "the image put back together"].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "import nothing_of_this_name",
            r"line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("def conv2d(:", r"line 1: SyntaxError"),
        ("x = 1", "nothing to check; name a function arr2vec"),
        ("import os\nos._exit(3)", r"it ended its process \(status 3\)"),
        ("import time\ntime.sleep(60)", "it takes longer than 1.5 seconds"),
        pytest.param("while True: pass", "it takes longer than 1.5 seconds", marks=pytest.mark.full),
        ("import sys\nsys.stdout.write('x' * 100)\nsys.exit('no')", "SystemExit: no"),
        ("a = bytearray(2**40)", "MemoryError"),
        ("open('large', 'wb').write(bytes(2**22))", "line 1: OSError: .*too large"),
        pytest.param(
            "def im2col(x, kernel_size):\n    while True: pass",
            "it takes longer than 1.5 seconds",
            marks=pytest.mark.full,
        ),
        (
            "import time\ndef im2col(x, kernel_size):\n    time.sleep(60)",
            "it takes longer than 1.5 seconds",
        ),
    ],
)
def test_files_that_cannot_be_checked(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        checked(tmp_path, text, seconds=1.5)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise KeyError('a')", "KeyError: 'a'"),
        ("return None", "nothing was returned where shape (1, 9, 9) is right"),
        pytest.param("return 'words'", "could not convert", marks=pytest.mark.full),
        pytest.param("return x[..., 0]", "has shape", marks=pytest.mark.full),
        ("import numpy as np; return np.full((1, 9, 9), np.nan)", "is nan at"),
    ],
)
def test_functions_that_go_wrong(tmp_path, body, problem):
    report = checked(tmp_path, f"def im2col(x, kernel_size, stride=1, padding=0):\n    {body}\n")
    assert problem in report.findings[0].problem
    if "KeyError" in body:
        assert report.findings[0].line == 2


def test_the_line_is_told_whatever_the_file_is_called(tmp_path):
    """The module is called `mine` inside; a person's folder or file may be, too."""
    file = tmp_path / "mine" / "examined.py"
    file.parent.mkdir()
    file.write_text("def im2col(x, kernel_size, stride=1, padding=0):\n    raise KeyError('a')\n")
    assert check_file(file).findings[0].line == 2


def test_an_argument_that_is_not_understood_is_named(tmp_path):
    report = checked(tmp_path, "def im2col(x, kernel_size, flavour):\n    return x\n")
    assert (
        "im2col has a parameter 'flavour' that is not understood; known are: " in report.findings[0].problem
    )


def test_what_a_function_lacks_is_not_held_against_it(tmp_path):
    report = checked(tmp_path, PLAIN, ("stride=1, padding=0", ""), ("* stride", "* 1"), ("// stride", "// 1"),
                     ("image = np.pad(image, padding)", ""))  # fmt: skip
    assert report.right
    assert report.notes == ("conv2d takes no stride and padding, so cases with it were left out",)


def test_nothing_answers_in_the_codes_name(tmp_path):
    """What the code prints, or writes to the descriptors it finds, is no answer."""
    loud = (
        textwrap.dedent(IM2COL)
        + "import os\nprint('hello' * 1000)\nfor fd in (1, 2):\n    os.write(fd, b'x' * 50)\n"
    )
    assert checked(tmp_path, loud).right


def test_the_command(tmp_path, capsys):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(textwrap.dedent(IM2COL))
    bad.write_text(textwrap.dedent(PLAIN).replace("* kernel)", "* kernel[::-1, ::-1])"))
    assert run(["check", str(good)]) == 0
    assert "right  im2col: the matrix of windows, 12 of 12 cases" in capsys.readouterr().out
    assert run(["check", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "WRONG  conv2d: the output, 0 of 8 cases right" in out
    assert "likely: the kernel is flipped" in out
    assert run(["check", str(bad), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["right"], found["findings"][0]["cell"]) == (False, [0, 0, 0, 0])
    assert run(["check", str(tmp_path / "none.py")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
