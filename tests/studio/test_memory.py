"""What pages keep is counted for all of them together, and given back when they go."""

import threading

import pytest

from deepconv.studio.memory import Memory
from deepconv.studio.session import Session


def test_pages_share_one_bound():
    memory = Memory(10 << 20)
    one, two = Session(None, {}, {}, memory), Session(None, {}, {}, memory)
    one.keep("picture", 6 << 20)
    with pytest.raises(ValueError, match="keep 6 MB together, and may keep 10 MB; close a page"):
        two.keep("picture", 5 << 20)
    one.keep("picture", 7 << 20)  # in place of the first, though both together would be too much
    two.keep("picture", 3 << 20)
    one.close()
    assert memory.kept == 3 << 20
    two.keep("model", 7 << 20)
    two.keep("model", 1 << 20)
    two.close()
    assert memory.kept == 0


def test_a_page_that_has_gone_keeps_nothing():
    memory = Memory()
    page = Session(None, {}, {}, memory)
    page.close()
    with pytest.raises(ValueError, match="has gone"):
        page.keep("picture", 5)
    assert memory.kept == 0


def test_less_is_always_let_in():
    memory = Memory(100)
    page = Session(None, {}, {}, memory)
    page.keep("a", 100)
    page.keep("a", 90)
    page.keep("b", 0)
    assert memory.kept == 90


def test_threads_do_not_outrun_the_bound():
    memory = Memory(1000)
    pages = [Session(None, {}, {}, memory) for _ in range(8)]
    taken = []

    def take(page):
        for step in range(200):
            try:
                page.keep(str(step), 7)
                taken.append(7)
            except ValueError:
                pass

    threads = [threading.Thread(target=take, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.kept == sum(taken) == 994
