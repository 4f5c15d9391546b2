"""`deepconv studio` in a process of its own: Ctrl-C with open pages, and a kill that nobody can catch."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import deepconv as dc
from deepconv.training.digits import DigitsSettings, train_digits
from tests.studio.running import Studio


@contextlib.contextmanager
def started(folder, *options):
    """Start the command, and give its process and a way in."""
    command = [sys.executable, "-m", "deepconv.cli", "studio", "--no-browser", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        found = re.search(r"http://[^:]+:(\d+)/([\w-]+)/", process.stdout.readline())
        yield process, Studio(int(found[1]), found[2])
    finally:
        process.kill()
        process.communicate(timeout=20)


def next_event(client, kind):
    while True:
        message, _ = client.receive()
        if message.get("event") == kind:
            return message["data"]


def test_ctrl_c_ends_it_with_open_pages_and_a_run_under_way(tmp_path):
    with started(tmp_path) as (process, studio), studio.client() as one, studio.client():
        one.ask("network", "train", epochs=200)
        next_event(one, "epoch")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert (tmp_path / "studio-run" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "studio-run" / "model.safetensors").exists()  # it didn't wait for the run's end


@pytest.mark.full
def test_a_killed_studio_leaves_a_checkpoint_that_another_goes_on_with(tmp_path):
    with started(tmp_path) as (process, studio), studio.client() as client:
        client.ask("network", "train", epochs=4, seed=6)
        next_event(client, "epoch")
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    folder = tmp_path / "studio-run"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors", "settings.json"]
    with started(tmp_path) as (_, studio), studio.client() as client:
        assert client.ask("network", "train", resume=True)[0]["result"]["epochs"] == 4
        assert "accuracy" in next_event(client, "end")
    found = dc.load(folder / "model.safetensors").state()
    whole = train_digits(DigitsSettings(epochs=4, seed=6)).model.state()
    assert all((found[name] == value).all() for name, value in whole.items())


@pytest.mark.full
def test_ctrl_c_during_an_endless_check(tmp_path):
    with started(tmp_path) as (process, studio), studio.client() as client:
        client.send("check", "check", code="def conv2d(x, w):\n    while True:\n        pass\n")
        time.sleep(1.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert time.monotonic() - began < 10
