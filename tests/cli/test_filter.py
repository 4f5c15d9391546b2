"""`deepconv filter`: what Python gives, for files and folders; nothing replaced unasked, nothing half written."""

import errno
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

import deepconv as dc
from deepconv.images import apply, read_image, write_image
from tests.cli.conftest import deepconv, started
from tests.images.samples import everything, random_pixels


def files(folder):
    """Every file below a folder with its bytes, and every folder with None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(here, rng):
    """A photograph with everything in it that a file may hold."""
    write_image(here / "photo.jpg", everything(rng))
    return here / "photo.jpg"


def put(path, rng, size=(13, 9), channels=3, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, random_pixels(rng, channels, dtype, size))
    return path


# ---------------------------------------------------------------- the result


@pytest.mark.parametrize(
    ("words", "text", "settings"),
    [
        (["-k", "sharpen"], "sharpen", {}),
        (["--kernel", "gaussian sigma=1.5", "--border", "wrap", "--linear"], "gaussian sigma=1.5",
         {"border": "wrap", "linear": True}),
        (["-k", "1 2 -3; 0.5 0 1", "--divisor=2.5", "--offset=-0.25", "--signed=absolute", "--flip"],
         "1 2 -3; 0.5 0 1", {"divisor": 2.5, "offset": -0.25, "signed": "absolute", "flip": True}),
        (["-k", "-1 0 1", "--signed", "stretch", "--border", "constant", "--constant", "0.75", "--alpha", "ignore"],
         "-1 0 1", {"signed": "stretch", "border": "constant", "constant": 0.75, "alpha": "ignore"}),
        (["-k", "[[1, 2], [3, 5]]", "--divisor", "sum", "--border", "crop"], "1 2; 3 5",
         {"divisor": "sum", "border": "crop"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("channels", "dtype", "name"),
    [(3, np.uint8, "p.jpg"), (4, np.uint16, "p.png"), (1, np.float32, "p.tif")],
)
def test_the_bytes_are_those_that_python_writes(here, rng, words, text, settings, channels, dtype, name):
    put(here / name, rng, channels=channels, dtype=dtype)
    outcome = deepconv("filter", name, *words, "-o", f"out-{name}")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"out-{name}\n", "")
    dc.images.write_image("python-" + name, dc.images.apply(dc.images.read_image(name), text, **settings))
    assert (here / f"out-{name}").read_bytes() == (here / f"python-{name}").read_bytes()


def test_it_is_the_picture_by_the_kernels_own_formula(here, rng):
    pixels = random_pixels(rng, 3, np.uint8, (9, 14))
    write_image("a.png", pixels)
    assert deepconv("filter", "a.png", "-k", "0 -1 0; -1 5 -1; 0 -1 0", "-o", "b.png").status == 0
    around = np.pad(pixels.astype(int), ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    neighbours = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    right = (5 * around[1:-1, 1:-1] - neighbours).clip(0, 255)
    assert np.array_equal(np.asarray(Image.open("b.png")), right)


@pytest.mark.parametrize("ending", [".csv", ".json", ".txt", ".npy"])
def test_a_kernel_from_a_file(here, rng, ending):
    weights = np.array([[1, 0, -2], [3, 0, 1]])
    texts = {".csv": "1,0,-2\n3,0,1\n", ".json": "[[1, 0, -2], [3, 0, 1]]", ".txt": "1 0 -2; 3 0 1"}
    if ending == ".npy":
        np.save("my edges.npy", weights)
    else:
        (here / f"my edges{ending}").write_text(texts[ending])
    put(here / "a.png", rng)
    outcome = deepconv("filter", "a.png", "-k", f"my edges{ending}")
    assert outcome.out == "a-my_edges.png\n"
    assert np.array_equal(read_image("a-my_edges.png").pixels, apply(read_image("a.png").pixels, weights))


def test_an_even_kernels_anchor_is_the_cell_after_the_middle(here, rng):
    pixels = random_pixels(rng, 1, np.uint8)
    write_image("a.png", pixels)
    deepconv("filter", "a.png", "-k", "0 1 0 0", "--border", "zero", "-o", "moved.png")
    assert np.array_equal(read_image("moved.png").pixels[:, 1:], pixels[:, :-1])
    assert not read_image("moved.png").pixels[:, 0].any()


def test_metadata_and_profile_are_kept(photo):
    assert deepconv("filter", photo, "-k", "sharpen", "-o", "out.png").err == ""
    before, after = read_image(photo), read_image("out.png")
    assert before.profile
    assert before.exif
    assert (after.profile, after.xmp, after.text) == (before.profile, before.xmp, before.text)
    with Image.open("out.png") as written:
        assert written.getexif()[271] == "Maker"


def test_what_was_changed_is_said_on_standard_error(here, rng):
    frames = [Image.fromarray(random_pixels(rng, 3, np.uint8)) for _ in range(3)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    put(here / "clear.png", rng, channels=4)
    outcome = deepconv("filter", "moving.gif", "-k", "box", "-o", "still.png")
    assert (outcome.status, outcome.out, outcome.err) == (
        0, "still.png\n", "moving.gif: the first of 3 frames was read\n"
    )  # fmt: skip
    said = "clear.png: transparency was laid on white for JPEG\n"
    assert deepconv("filter", "clear.png", "-k", "box", "-o", "a.jpg").err == said
    quiet = deepconv("filter", "clear.png", "-k", "box", "-o", "b.jpg", "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_json_tells_of_every_file(here, rng):
    put(here / "in" / "a.png", rng, channels=4, dtype=np.uint16)
    (here / "in" / "b.png").write_text("no picture")
    outcome = deepconv("filter", "in", "-k", "emboss direction=n", "-o", "out", "--border", "crop", "--json")
    assert outcome.status == 1
    assert outcome.json == {
        "kernel": "emboss direction=n",
        "pictures": [
            {"file": "in/a.png", "out": "out/a.png", "width": 7, "height": 11, "mode": "RGBA", "dtype": "uint16",
             "notes": []}
        ],
        "errors": [{"file": "in/b.png", "error": outcome.json["errors"][0]["error"]}],
    }  # fmt: skip
    assert "in/b.png" in outcome.json["errors"][0]["error"]


def test_quality_makes_smaller_files(here, rng):
    put(here / "a.png", rng, (64, 64))
    deepconv("filter", "a.png", "-k", "box", "-o", "low.jpg", "--quality", 20)
    deepconv("filter", "a.png", "-k", "box", "-o", "high.jpg")
    assert os.path.getsize("low.jpg") < 0.6 * os.path.getsize("high.jpg")


# ---------------------------------------------------------------- where results go


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sharpen", "photo-sharpen.jpg"),
        ("gaussian sigma=1.5, size=3x7", "photo-gaussian-sigma1.5-size3x7.jpg"),
        ("emboss direction=nw base=0", "photo-emboss-nw-base0.jpg"),
        ("1 2 1", "photo-filtered.jpg"),
    ],
)
def test_without_out_it_lies_beside_the_picture(photo, text, name):
    deeper = photo.parent / "deeper"
    deeper.mkdir()
    shutil.copy(photo, deeper)
    assert deepconv("filter", "deeper/photo.jpg", "-k", text).out == f"deeper/{name}\n"
    assert (deeper / name).is_file()


def test_a_format_that_is_only_read_becomes_png(here, rng):
    Image.fromarray(random_pixels(rng, 3, np.uint8, (20, 30))).save("a.jp2")
    assert deepconv("filter", "a.jp2", "-k", "box").out == "a-box.png\n"


def test_a_folder_goes_to_a_folder_beside_it(here, rng):
    for name in ("b.PNG", "a.jpg", "deep/c.png", ".hidden.png", ".hidden/d.png"):
        put(here / "in" / name, rng)
    (here / "in" / "notes.txt").write_text("no picture, and not called one")
    assert deepconv("filter", "in", "-k", "box").out == "in-box/a.jpg\nin-box/b.PNG\n"
    outcome = deepconv("filter", "in", "-k", "box", "-r", "-o", "in/results")
    assert outcome.out == "in/results/a.jpg\nin/results/b.PNG\nin/results/deep/c.png\n"
    again = deepconv("filter", "in", "-k", "box", "-r", "-o", "in/results", "--force")
    assert (again.out, again.err) == (outcome.out, "")  # its own results are no pictures to filter


def test_files_and_folders_together(here, rng):
    put(here / "a.png", rng), put(here / "in" / "b.png", rng)
    assert deepconv("filter", "a.png", "in", "-k", "box", "-o", "out").out == "out/a.png\nout/b.png\n"
    assert deepconv("filter", "a.png", "-k", "identity", "-o", "new/").out == "new/a.png\n"
    assert deepconv("filter", "a.png", "-k", "outline", "-o", "in").out == "in/a.png\n"


def test_the_folder_one_is_in(here, rng, monkeypatch):
    put(here / "in" / "b.png", rng)
    monkeypatch.chdir(here / "in")
    assert deepconv("filter", ".", "-k", "box").status == 0
    assert (here / "in-box" / "b.png").is_file()


def test_nothing_is_replaced_without_force(photo):
    before = photo.read_bytes()
    for out, words in (("photo.jpg", "is the picture itself"), ("./photo.jpg", "is the picture itself")):
        error = deepconv("filter", "photo.jpg", "-k", "sharpen", "-o", out).error
        assert f"{words}; add --force to replace it" in error
    assert deepconv("filter", "photo.jpg", "-k", "sharpen").status == 0
    error = deepconv("filter", "photo.jpg", "-k", "sharpen").error
    assert "photo-sharpen.jpg exists already; add --force to replace it, or choose another -o" in error
    assert photo.read_bytes() == before
    right = apply(read_image(photo), "sharpen")
    assert deepconv("filter", "photo.jpg", "-k", "sharpen", "-o", "photo.jpg", "--force").status == 0
    write_image("right.jpg", right)
    assert photo.read_bytes() == (photo.parent / "right.jpg").read_bytes() != before


def test_one_file_that_exists_stops_all_before_work_begins(here, rng):
    for name in "abc":
        put(here / "in" / f"{name}.png", rng)
    put(here / "out" / "c.png", rng), put(here / "out" / "b.png", rng)
    before = files(here)
    error = deepconv("filter", "in", "-k", "box", "-o", "out").error
    assert "out/b.png exists already, and 1 other too; add --force to replace them" in error
    assert files(here) == before


def test_two_results_for_one_file_are_refused(here, rng):
    put(here / "x" / "a.png", rng), put(here / "y" / "a.png", rng)
    before = files(here)
    for words in (["x/a.png", "y/a.png"], ["x", "y"], ["x", "x/a.png"], ["x/a.png", "x/../x/a.png"]):
        error = deepconv("filter", *words, "-k", "box", "-o", "out", "--force").error
        assert "would both be written to out/a.png" in error
    error = deepconv("filter", "x/a.png", "y/a.png", "-k", "box", "-o", "y", "--force").error
    assert "would both be written to y/a.png" in error
    assert files(here) == before


def test_a_result_in_the_place_of_a_picture_yet_to_be_read_is_refused(here, rng):
    put(here / "a.png", rng), put(here / "in" / "a.png", rng), put(here / "in" / "b.png", rng)
    os.symlink("in", here / "link")
    error = deepconv("filter", "a.png", "in/b.png", "in/a.png", "-k", "box", "-o", "link", "--force").error
    assert "would both be written" in error
    put(here / "a-box.png", rng)
    error = deepconv("filter", "a.png", "a-box.png", "-k", "box", "--force").error
    assert "the result of a.png would replace a-box.png, which is to be read too" in error


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-k", "sharpn"], "no kernel is named 'sharpn'; did you mean 'sharpen'?"),
        (["-k", "box sise=3"], "box has no setting 'sise'; did you mean 'size'?"),
        (["-k", "box size=0"], "size='0'; use 1 to"),
        (["-k", "1 two 1"], "row 1, word 2: 'two' is no number"),
        (["-k", "words.csv"], "words.csv': row 2, word 1: 'two' is no number"),
        (["-k", "gone.csv"], "gone.csv': no such file"),
        (["-k", "1 2; 3"], "row 2 has 1 numbers and row 1 has 2"),
        ([], "no kernel is named; add -k sharpen"),
        (["-k", "box", "--border", "sideways"], "'sideways' is not one of 'reflect', 'mirror'"),
        (["-k", "box", "--signed", "maybe"], "'maybe' is not one of 'clip'"),
        (["-k", "box", "--divisor", "0"], "divide by another number than 0"),
        (["-k", "box", "--divisor", "two"], "--divisor two is no number; write a number, or sum"),
        (["-k", "sobel-x", "--divisor", "sum"], "sum to 0; leave it out"),
        (["-k", "box", "--offset", "nan"], "offset"),
        (["-k", "box", "--offset", "3"], "filter: --offset 3.0; use"),
        (["-k", "box", "--quality", "0"], "--quality"),
        (["-k", "box size=50", "--border", "crop"], "leaves nothing"),
        (["-k", "box", "-o", "missing/out.png"], "there is no folder 'missing'; make it first"),
        (["-k", "box", "-o", "out.doc"], "'.doc' names no format; use .png, .jpg"),
        (["-k", "box", "-o", "out"], "'no ending' names no format"),
        (["-k", "box", "-o", "folder.png/"], "folder.png/a.doc"),
        (["-k", "box", "-o", "a.png/b.png"], "there is no folder 'a.png'"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing_behind(here, rng, words, said):
    put(here / "a.png", rng)
    (here / "words.csv").write_text("1, 2\ntwo, 3\n")
    if said == "folder.png/a.doc":
        (here / "folder.png").mkdir()
        (here / "folder.png" / "a.png").mkdir()
        said = "is not a plain file"
    before = files(here)
    assert said in deepconv("filter", "a.png", *words).error
    assert files(here) == before


def test_an_unwritten_option_of_several(here, rng):
    put(here / "a.png", rng), put(here / "b.png", rng), (here / "empty").mkdir()
    put(here / "deep" / "er" / "c.png", rng)
    before = files(here)
    for words, said in (
        (["a.png", "b.png", "-o", "out.png"], "-o out.png names one picture, and there are several; name a folder"),
        (["a.png", "b.png", "-o", "a.png"], "-o a.png is a file, and there are several pictures; name a folder"),
        (["empty"], "empty holds no pictures; name one that has some"),
        (["deep"], "deep holds no pictures; add --recursive to look into its folders"),
        ([], "no picture is named"),
    ):  # fmt: skip
        assert said in deepconv("filter", *words, "-k", "box").error
    assert files(here) == before


def bomb(path, rng):
    path.write_bytes(b"P5 20000 20000 255 ")


def truncated(path, rng):
    write_image(path.with_suffix(".jpg"), random_pixels(rng, 3, np.uint8, (90, 70)))
    path.with_suffix(".jpg").rename(path)
    path.write_bytes(path.read_bytes()[:1500])


BAD = {
    "bomb": (bomb, "more than 200,000,000; shrink it first"),
    "truncated": (truncated, "can't be read: "),
    "text": (lambda path, rng: path.write_text("hello"), "not a picture in a known format"),
    "zero bytes": (lambda path, rng: path.write_bytes(b""), "can't be read: "),
    "vanished": (lambda path, rng: None, "no such file; name a picture file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_is_one_line_and_the_others_are_done(here, rng, kind):
    make, said = BAD[kind]
    put(here / "a.png", rng), put(here / "z.png", rng)
    make(here / "m.png", rng)
    before = files(here)
    error = deepconv("filter", "m.png", "-k", "box", "-o", "out.png").error
    assert "m.png" in error
    assert said in error
    assert files(here) == before
    outcome = deepconv("filter", "a.png", "m.png", "z.png", "-k", "box", "-o", "out")
    assert (outcome.status, outcome.out) == (1, "out/a.png\nout/z.png\n")
    assert outcome.err == error
    assert files(here).keys() - before.keys() == {"out", "out/a.png", "out/z.png"}


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "pipe.png"], ids=["long", "pipe"])
def test_names_that_nothing_can_be_read_from(here, rng, name):
    if name == "pipe.png":
        os.mkfifo(name)
    put(here / "a.png", rng)
    assert deepconv("filter", name, "-k", "box", "-o", "out.png").error
    outcome = deepconv("filter", "a.png", name, "-k", "box", "-o", "out")
    assert (outcome.status, outcome.out) == (1, "out/a.png\n")
    assert outcome.err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is locked for root")
def test_locked_files_and_folders(here, rng):
    (
        put(here / "in" / "locked" / "a.png", rng),
        put(here / "in" / "b.png", rng),
        put(here / "in" / "c.png", rng),
    )
    (here / "in" / "c.png").chmod(0), (here / "in" / "locked").chmod(0)
    outcome = deepconv("filter", "in", "-r", "-k", "box", "-o", "out")
    (here / "in" / "locked").chmod(0o700)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "out/b.png\n", 2)


def test_a_folder_that_cannot_be_searched_is_reported(here, rng, monkeypatch):
    put(here / "in" / "a.png", rng), put(here / "in" / "locked" / "b.png", rng)
    real = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    outcome = deepconv("filter", "in", "-r", "-k", "box", "-o", "out")
    assert (outcome.status, outcome.out) == (1, "out/a.png\n")
    assert outcome.err == "deepconv: in/locked: can't be read: Permission denied; check who may read it\n"


# ---------------------------------------------------------------- what ends it


@pytest.mark.parametrize(
    ("what", "status"), [(OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)]
)
def test_a_full_disk_and_an_interruption_leave_no_half_written_file(here, rng, monkeypatch, what, status):
    def half(stream, *_, **__):
        stream.write(b"half")
        raise what

    put(here / "a.png", rng), put(here / "b.png", rng)
    before = files(here)
    monkeypatch.setattr("deepconv.images.writing.encode", half)
    for words in (["-o", "out.png"], ["-o", "a.png", "--force"], ["-o", "new/er/"]):
        outcome = deepconv("filter", "a.png", "-k", "box", *words)
        assert outcome.status == status
        assert outcome.err.count("\n") == (status == 2)
        assert "Traceback" not in outcome.err
        assert files(here) == before
    outcome = deepconv("filter", "a.png", "b.png", "-k", "box", "-o", "new")
    assert outcome.status == (1 if status == 2 else 130)
    assert files(here) == before


def test_interrupted_it_names_what_was_done(here, rng, monkeypatch):
    import deepconv.images.writing as writing

    real, calls = writing.encode, []

    def second(*words, **options):
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*words, **options)

    put(here / "a.png", rng), put(here / "b.png", rng), put(here / "c.png", rng)
    monkeypatch.setattr(writing, "encode", second)
    outcome = deepconv("filter", "a.png", "b.png", "c.png", "-k", "box", "-o", "out")
    assert (outcome.status, outcome.out, outcome.err) == (130, "out/a.png\n", "")
    assert os.listdir("out") == ["a.png"]


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="sends Ctrl-C as a signal")
def test_ctrl_c_leaves_whole_files_only(here, rng):
    for number in range(40):
        put(here / "in" / f"{number:02}.png", rng, (500, 600))
    with started("filter", "in", "-k", "gaussian sigma=9", "-o", "out", cwd=here) as process:
        while not (here / "out").is_dir() or len(os.listdir("out")) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert sorted(f"out/{name}" for name in os.listdir("out")) == out.split()
    assert len(out.split()) < 40
    for name in out.split():
        assert read_image(name).pixels.shape == (500, 600, 3)


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal as Unix has them")
def test_on_a_terminal_a_bar_moves_and_the_names_go_to_standard_output(here, rng):
    import pty

    put(here / "in" / "a.png", rng), put(here / "in" / "c.png", rng)
    (here / "in" / "b.png").write_text("no picture")
    ours, theirs = pty.openpty()
    with started("filter", "in", "-k", "box", "-o", "out", cwd=here, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while part := readable(ours):
            seen += part
        assert process.stdout.read() == "out/a.png\nout/c.png\n"
    os.close(ours)
    assert process.returncode == 1
    assert "Filtering with box" in seen.decode()
    assert "of 3" in seen.decode()
    assert "deepconv: filter: 'in/b.png' can't be read" in seen.decode()


def readable(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how a terminal says that the other side is gone
        return b""
