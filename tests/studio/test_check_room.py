"""Pasted code is checked as a file is, and only for this machine's own people."""

from pathlib import Path

from tests.studio.running import running

POST = (Path(__file__).parents[1] / "post.py").read_text()


def test_the_posts_code_is_checked(studio):
    with studio.client() as client:
        report = client.ask("check", "check", code=POST)[0]["result"]
    reasons = {finding["name"]: finding["reason"] for finding in report["findings"]}
    assert "as in the post" in reasons["vec2arr"]
    assert reasons["arr2vec"] is None


def test_what_cannot_be_checked_is_said_without_our_paths(studio):
    with studio.client() as client:
        assert client.ask("check", "check", code="x = 1")[0]["error"].startswith(
            "check: your code: nothing to check"
        )
        assert "ZeroDivisionError" in client.ask("check", "check", code="1 / 0")[0]["error"]
        assert client.ask("check", "check", code="")[0]["error"] == "code: is empty"
        assert "at most 100000" in client.ask("check", "check", code="#" * 100_001)[0]["error"]


def test_not_for_strangers():
    with running(host="0.0.0.0") as studio, studio.client() as client:
        assert "without --host" in client.ask("check", "check", code=POST)[0]["error"]
