"""Checking one's own code in the page: the verdict of `deepconv check`, in words."""

from pathlib import Path

import pytest

from deepconv.check.report import check_file
from tests.peers.browser import until

POST = Path(__file__).parents[1] / "post.py"


def checked(page):
    page.get_by_role("button", name="Check it").click()
    until(page, "document.querySelector('.finding, .results .refusal')")


def test_the_example_has_a_slip_that_is_found(visitor):
    page = visitor.open("#/check")
    checked(page)
    right, wrong = page.locator(".finding").all()
    assert "arr2vec" in right.inner_text()
    assert "right in 12 of 12 cases" in right.inner_text()
    assert "written over each other instead of added up" in wrong.inner_text()


def test_the_posts_code_from_a_file_as_the_command_sees_it(visitor):
    page = visitor.open("#/check")
    page.get_by_label("or a file").set_input_files(POST)
    until(page, "document.querySelector('textarea').value.includes('vec2arr')")
    checked(page)
    report = check_file(POST)
    texts = [" ".join(text.split()) for text in page.locator(".finding").all_inner_texts()]
    assert len(texts) == len(report.findings)
    for text, finding in zip(texts, report.findings, strict=True):
        assert finding.name in text
        assert f"right in {finding.right} of {finding.tried}" in text
        if finding.reason:
            assert finding.reason in text
        if finding.line:
            assert f"line {finding.line}" in text


def test_code_that_cannot_run_is_said_and_kept(visitor):
    page = visitor.open("#/check")
    page.get_by_label("Python").fill("def conv2d(x, w):\n    return x +\n")
    checked(page)
    assert "SyntaxError" in page.locator(".refusal").inner_text()
    page.get_by_role("link", name="The window").click()
    page.wait_for_selector("td.output")
    page.go_back()
    page.wait_for_selector("textarea")
    assert page.get_by_label("Python").input_value().endswith("x +\n")


@pytest.mark.full
def test_what_was_left_out_is_said(visitor, tmp_path):
    page = visitor.open("#/check")
    code = "def conv2d(x, w):\n    return x[:, :, 1:, 1:] * w[:, 0, 0, 0].sum()\n"
    page.get_by_label("Python").fill(code)
    checked(page)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    notes = check_file(tmp_path / "mine.py").notes
    assert len(notes) > 0
    assert page.locator(".results .explain").all_inner_texts() == list(notes)
