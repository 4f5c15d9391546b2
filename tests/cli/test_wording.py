"""What went wrong is said in the command's own words, and a person's words stay as they are."""

import pytest

from deepconv.cli.train import train
from deepconv.cli.wording import in_words, option_names
from tests.cli.conftest import deepconv
from tests.cli.test_predict import MODEL

NAMES = option_names(train)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("pictures: learning_rate=0 teaches nothing; use 0.005", "train: --learning-rate 0 teaches nothing; use 0.005"),
        ("pictures: start='a b.pt', and mixup=2.0 more", "train: --from 'a b.pt', and --mixup 2.0 more"),
        ("scan_folder: root='p/q': leave out strict=True", "train: 'p/q': leave out --strict"),
        ("scan_folder: root='size=7/seed=1' is", "train: 'size=7/seed=1' is"),
        ("box: radius=3, but sizes (size=9)", "box: radius=3, but sizes (--size 9)"),
        ("train: --out x is a file", "train: --out x is a file"),
    ],
)  # fmt: skip
def test_arguments_are_called_as_they_are_typed(said, wanted):
    assert in_words("train", ValueError(said), NAMES) == wanted


def test_commands_name_their_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.txt").write_text("words")
    assert "train: 'photos' has no pictures: " in deepconv("train", "photos").error
    assert "train: --learning-rate -1.0 must be" in deepconv("train", "digits", "--learning-rate", -1).error
    outcome = deepconv("predict", MODEL, "gone.png", "--json")
    assert outcome.json["errors"][0]["error"] == "predict: 'gone.png': no such file; name a picture file"
    assert outcome.err == "deepconv: predict: 'gone.png': no such file; name a picture file\n"
