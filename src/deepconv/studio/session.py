"""One client: what it has loaded, and its questions answered one at a time, the latest first thing that counts.

A question that is marked `latest` is dropped unanswered by a newer one of its kind, so that a slider moved
quickly never leaves a queue behind. All others are answered in order.

Questions are answered in threads, in lanes: opening a picture or checking somebody's code takes seconds, and what
takes milliseconds never waits behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError, validate_call

from deepconv.studio.memory import Memory
from deepconv.studio.refusals import plain
from deepconv.studio.wire import WireError, encode

__all__ = ["LANES", "Answer", "Lane", "Method", "Session", "method"]

_log = logging.getLogger(__name__)
_WAITING = 32
"""Questions that may wait; more come only from a program gone wrong."""
_NEWS = 64
"""Events that wait for a page that reads slowly; older ones are dropped for newer ones."""

Lane = Literal["quick", "files", "checks"]
"""Which threads a method runs in."""

LANES: tuple[Lane, ...] = ("quick", "files", "checks")


@dataclass(frozen=True)
class Answer:
    """What a method gives back.

    Args:
        data: JSON.
        blobs: bytes that go with it, such as PNG files.

    Example:
        >>> Answer({"shape": [2, 3]}).blobs
        ()
    """

    data: Mapping[str, Any]
    blobs: tuple[bytes | memoryview, ...] = ()


@dataclass(frozen=True)
class Method:
    """A question that the page may ask.

    Args:
        call: `call(session, blobs, **arguments)`, run in a thread; its annotations decide what is let in.
        latest: whether a newer question of this kind makes an unanswered one void.
        lane: which threads it runs in.
    """

    call: Callable[..., Answer]
    latest: bool = False
    lane: Lane = "quick"


def method(*, latest: bool = False, lane: Lane = "quick") -> Callable[[Callable[..., Answer]], Method]:
    """Make a function a question that the page may ask; its arguments are checked by their annotations.

    Args:
        latest: whether a newer question makes an unanswered one void.
        lane: "files" for what reads or writes large ones, "checks" for strangers' code, else "quick".

    Example:
        >>> @method(latest=True)
        ... def twice(session: Any, blobs: list[bytes], *, number: int) -> Answer:
        ...     return Answer({"twice": 2 * number})
        >>> twice.call(None, [], number=4).data
        {'twice': 8}
    """

    def wrap(function: Callable[..., Answer]) -> Method:
        checked = validate_call(config={"arbitrary_types_allowed": True, "strict": True})(function)
        return Method(checked, latest, lane)

    return wrap


@dataclass
class _Question:
    number: Any
    method: Method
    arguments: dict[str, Any]
    blobs: list[bytes]


@dataclass(eq=False)
class Session:
    """One open page.

    Args:
        send: sends a message to the page.
        rooms: the methods by room and name.
        executors: where methods run, by lane.
        memory: the account of what all pages keep.
        state: what the rooms keep for this page (its picture, its model), by room.
        closing: what is called when the page goes.

    Example:
        >>> Session(None, {}, {}).state
        {}
    """

    send: Any
    rooms: Mapping[str, Mapping[str, Method]]
    executors: Mapping[Lane, Executor]
    memory: Memory = field(default_factory=Memory)
    state: dict[str, Any] = field(default_factory=dict)
    closing: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting: dict[Any, _Question] = {}
        self._asked = asyncio.Event()
        self._news: deque[str | bytes] = deque(maxlen=_NEWS)
        self._telling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open_blobs: list[bytes] = []
        self._open = True
        self.memory.enter(self)

    def keep(self, name: str, size: int) -> None:
        """Note that this page keeps something large; see `Memory.keep`.

        Args:
            name: what; it replaces what was kept under this name.
            size: in bytes.

        Raises:
            ValueError: all pages together would keep too much.
        """
        self.memory.keep(self, name, size)

    def tell(self, room: str, event: str, data: Mapping[str, Any], blobs: tuple[bytes, ...] = ()) -> None:
        """Send the page news it didn't ask for, from any thread; nothing happens when it has gone.

        Args:
            room: whose news it is.
            event: its kind.
            data: JSON.
            blobs: bytes that go with it.
        """
        if self._loop is not None and self._open:
            message = encode({"room": room, "event": event, "data": dict(data)}, blobs)
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to tell
                self._loop.call_soon_threadsafe(self._bring, message)

    def _bring(self, message: str | bytes) -> None:
        """Queue news in the event loop; one task sends it, as fast as the page reads."""
        self._news.append(message)
        if self._open and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        while self._news and self._open:
            await self.send(self._news.popleft())

    async def ask(self, message: Mapping[str, Any], blobs: list[bytes]) -> None:
        """Take a question in; `run` answers it.

        Args:
            message: what `wire.decode` gave.
            blobs: what came with it.

        Raises:
            WireError: it is no question; the connection should be closed.
        """
        number, arguments = message.get("id"), message.get("arguments", {})
        found = self.rooms.get(_word(message, "room"), {}).get(_word(message, "method"))
        if type(number) is not int or not isinstance(arguments, dict):
            raise WireError("message: id must be a whole number and arguments an object")
        if found is None:
            await self._fail(number, f"no method {message['method']!r:.40} in room {message['room']!r:.40}")
            return
        kind = (message["room"], message["method"]) if found.latest else object()
        old = self._waiting.pop(kind, None)
        if old is not None:
            await self.send(encode({"id": old.number, "superseded": True}))
        if len(self._waiting) >= _WAITING:
            raise WireError(f"message: {_WAITING} questions wait already; wait for answers")
        try:
            self._account(blobs)
        except ValueError as error:
            await self._fail(number, str(error))
            return
        self._waiting[kind] = _Question(number, found, arguments, blobs)
        self._asked.set()

    def _account(self, more: list[bytes]) -> None:
        """Note how many bytes of uploads wait or are being looked at."""
        waiting = [blob for question in self._waiting.values() for blob in question.blobs] + self._open_blobs
        self.memory.keep(self, "uploads", sum(map(len, [*waiting, *more])))

    async def run(self) -> None:
        """Answer questions until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:
                kind = next(iter(self._waiting))
                await self._answer(self._waiting.pop(kind))

    async def _answer(self, question: _Question) -> None:
        loop = asyncio.get_running_loop()
        self._open_blobs = question.blobs
        try:
            answer = await loop.run_in_executor(
                self.executors[question.method.lane],
                lambda: question.method.call(self, question.blobs, **question.arguments),
            )
            reply = encode({"id": question.number, "result": dict(answer.data)}, answer.blobs)
        except ValidationError as error:
            await self._fail(question.number, plain(error))
        except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
            await self._fail(question.number, str(error) or type(error).__name__)
        except MemoryError:
            await self._fail(question.number, "too large for this machine's memory; use something smaller")
        except Exception:  # noqa: BLE001 - one method must not end the connection; the terminal shows it
            _log.exception("studio: %s", question.method)
            await self._fail(question.number, "something went wrong in the studio; its terminal says what")
        else:
            await self.send(reply)
        finally:
            self._open_blobs = []
            with contextlib.suppress(ValueError):  # the page has gone
                self._account([])

    async def _fail(self, number: Any, why: str) -> None:
        await self.send(encode({"id": number, "error": " ".join(why.split())}))

    def close(self) -> None:
        """Let go of everything that the page had; what runs for it is told to stop."""
        self._open = False
        self.memory.leave(self)
        if self._telling is not None:
            self._telling.cancel()
        for call in self.closing:
            call()
        self._waiting.clear()
        self._news.clear()
        self.state.clear()


def _word(message: Mapping[str, Any], key: str) -> str:
    word = message.get(key)
    if not isinstance(word, str):
        raise WireError(f"message: {key} must be a name")
    return word
