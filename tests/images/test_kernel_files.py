"""The person's own kernels, and what files hold that are none."""

import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from deepconv.images import effect, format_kernel, parse_kernel, read_kernel


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1 2 1; 2 4 2; 1 2 1", [[1, 2, 1], [2, 4, 2], [1, 2, 1]]),
        ("1,2,1\n2,4,2\n", [[1, 2, 1], [2, 4, 2]]),
        ("1, -2, 1", [[1, -2, 1]]),
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("[[1/2, 2.5], [\"3/4\", -1e1]]", [[0.5, 2.5], [0.75, -10]]),
        ("[1, 2, 3]", [[1, 2, 3]]),
        ("1/9 1 / 9 .5", [[1 / 9, 1 / 9, 0.5]]),
        ("1\t2\n3\t4", [[1, 2], [3, 4]]),
        ("+1 -1;\n0 2;", [[1, -1], [0, 2]]),
        ("7", [[7]]),
    ],
)  # fmt: skip
def test_what_can_be_written_out(text, numbers):
    assert parse_kernel(text).tolist() == numbers


def test_whole_numbers_stay_whole():
    assert parse_kernel("1 2").dtype == np.int64
    assert parse_kernel("1 2.0").dtype == np.float64
    assert parse_kernel("1 2/1").dtype == np.float64


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(-1e9, 1e9)))
def test_what_is_written_is_read_back(kernel):
    np.testing.assert_array_equal(parse_kernel(format_kernel(kernel)), kernel)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 1; 2 four 2", "row 2, word 2: 'four' is no number; write numbers such as -1, 0.5 or 1/9"),
        ("1 2 1; 2 4", "row 2 has 2 numbers and row 1 has 3; make all rows as long"),
        ("", "no numbers"),
        ("  ;  ; ", "no numbers"),
        ("1 nan", "row 1, word 2: 'nan' is no number"),
        ("1 inf", "'inf' is no number"),
        ("1/0 2", "row 1, word 1: '1/0' is not finite"),
        ("1e999", "is not finite|is no number"),
        ("1,,2", "row 1, word 2: there is nothing"),
        ("1_000 2", "'1_000' is no number"),
        ("[[1, 2], [3]]", "row 2 has 1 numbers and row 1 has 2"),
        ("[[1, [2]]]", r"row 1, word 2: \[.* is no number"),
        ("[[1, null]]", "row 1, word 2: null is no number"),
        ("[[1, NaN]]", "row 1, word 2: NaN is no number"),
        ("[[]]", "row 1 is empty"),
        ("[", "not JSON"),
        ("{}", "no list of rows"),
        ("[[1], 2]", "no list of rows"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ("x" * 100, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' is no number"),
        ("1 " * 1_000_001, r"1 × 1000001 cells, more than 1,000,000"),
    ],
)
def test_each_mistake_is_named(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_kernel(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "numbers"),
    [
        ("a.csv", "1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
        ("a.csv", "1;2;3\n", [[1, 2, 3]]),
        ("a.csv", "# a blur\n\n1/4, 1/2, 1/4  # down\n", [[0.25, 0.5, 0.25]]),
        ("a.csv", "\ufeff1 2", [[1, 2]]),
        ("A.CSV", "5", [[5]]),
        ("a.tsv", "1\t2\n3\t4", [[1, 2], [3, 4]]),
        ("a.txt", "1 2; 3 4", [[1, 2], [3, 4]]),
        ("a.json", '{"kernel": [[1, 0.5]]}', [[1, 0.5]]),
        ("a.json", "[[1],[2],[3]]", [[1], [2], [3]]),
    ],
)
def test_text_files(tmp_path, name, text, numbers):
    (tmp_path / name).write_bytes(text.encode())
    assert read_kernel(tmp_path / name).tolist() == numbers
    assert effect(str(tmp_path / name)).kernels[0].tolist() == numbers
    assert effect(tmp_path / name).name == name


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("k.csv", b"1,2\n3,x\n", r"k\.csv'?: row 2, word 2: 'x' is no number"),
        ("k.csv", b"# head\n\n1,2\n3\n", r"row 4 has 1 numbers and row 3 has 2"),
        ("k.csv", b"0,5;0,5\n", "has both ',' and ';'"),
        ("k.csv", b"", "no numbers"),
        ("k.csv", b"\xff\xfe\x00\x01", "not a text file"),
        ("k.json", b"{", "not JSON"),
        ("k.npy", b"hello", "not a NumPy file"),
        ("k.npy", b"", "not a NumPy file"),
        ("k.png", b"1", "'?.png'? is not a kind of kernel file; use .npy, .json, .csv"),
    ],
)
def test_files_that_hold_no_kernel_name_themselves(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_kernel(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_pipes(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_kernel(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="not a file"):
        read_kernel(tmp_path / "folder.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="not a file"):  # and does not wait for a writer
        read_kernel(tmp_path / "pipe.csv")


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float16, np.float32, ">f8", bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_files(tmp_path, rng, dtype, order):
    numbers = np.asarray(rng.integers(0, 5, (3, 4)).astype(dtype), order=order)
    np.save(tmp_path / "k.npy", numbers)
    found = read_kernel(tmp_path / "k.npy")
    np.testing.assert_array_equal(found, numbers)
    assert found.dtype == (np.float64 if np.dtype(dtype).kind == "f" else np.int64)
    np.save(tmp_path / "row.npy", numbers[0])
    assert read_kernel(tmp_path / "row.npy").shape == (1, 4)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_large_unsigned_numbers_stay_positive(tmp_path):
    np.save(tmp_path / "k.npy", np.array([[2**63 + 2**12, 3]], np.uint64))
    assert read_kernel(tmp_path / "k.npy").tolist() == [[2.0**63 + 2**12, 3.0]]


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("k.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("k.npy", "plain.npy"):
        with pytest.raises(ValueError, match=r"it holds object, not numbers|not a NumPy file"):
            read_kernel(name)
    assert not (tmp_path / "unpickled").exists()


def npy_header(shape, dtype="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy_header((100_000, 100_000)), r"100000 × 100000 cells, more than 1,000,000"),
        (npy_header((900, 900)) + bytes(16), "16 bytes follow a header that tells of 6,480,000"),
        (npy_header((2, 2)) + bytes(40), "40 bytes follow"),
        (npy_header((2, 2, 2)) + bytes(64), r"its shape is \(2, 2, 2\)"),
        (npy_header((0, 3)), r"its shape is \(0, 3\)"),
        (npy_header((-1, -1)) + bytes(8), r"its shape is \(-1, -1\); save \(rows, columns\)"),
        (npy_header((1, 2), "<c16") + bytes(32), "it holds complex128, not numbers"),
        (npy_header((1, 2), "<U4") + bytes(32), "not numbers"),
        (npy_header((1, 2)) + np.array([1, np.nan]).tobytes(), "row 1, word 2: nan; use finite numbers"),
        (npy_header((1, 2))[:40], "not a NumPy file"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "not a NumPy file"),
    ],
)
def test_numpy_headers_are_not_believed(tmp_path, data, message):
    (tmp_path / "k.npy").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_kernel(tmp_path / "k.npy")


def test_a_large_file_is_not_read(tmp_path):
    with open(tmp_path / "k.csv", "wb") as file:
        file.truncate(33_000_000)
    with pytest.raises(ValueError, match="33,000,000 bytes, too large"):
        read_kernel(tmp_path / "k.csv")
