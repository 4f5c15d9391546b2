"""How threads meet in machine code: numbers that one writes and another reads, locks of Python's, a list of calls.

What `kernels/team.py` gives threads to do is a *table* of whole numbers, 8 of them a cache line:

    table[0]                      how many threads there are; each has a part of the pieces
    table[8·(1 + i)]              which piece of thread i's part is next: its own comes first, then the others'
    table[8·(1 + i) + 1, + 2]     the first piece of the part, and how many it has
    table[8·(1 + threads) + j]    where the calls of piece j begin; those of the last one end where one more would
    then, for each call           the address of a kernel, how many words it takes, and those

A word from OWN on is a place in the memory of whichever thread makes the call. A helper's *state* is such numbers
too, whose places `meeting_places` names. A thread that waits looks for a while before it sleeps, or not at all.
"""

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.meeting_places import (
    ASLEEP,
    BASE,
    DONE,
    GIVEN,
    LINE,
    NUMBER,
    OWN,
    ROOM,
    TABLE,
    WAITING,
)
from deepconv.engine.kernels.simd import pointer, shift

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ORDER = "seq_cst"


@intrinsic
def look(typing: Any, p: Any, index: Any) -> Any:
    """Return `p[index]` as it is now, whoever wrote it; what was written before that is seen, too."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.gep(args[0], [args[1]]), _ORDER, 8)

    return types.int64(p, types.int64), generate


@intrinsic
def tell(typing: Any, p: Any, index: Any, value: Any) -> Any:
    """Write `p[index]` for others to see, after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], builder.gep(args[0], [args[1]]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64), generate


def _changing(how: str) -> Any:
    """Return an intrinsic that changes a number in one step, and returns what it was."""

    def change(typing: Any, p: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw(how, builder.gep(args[0], [args[1]]), args[2], _ORDER)

        return types.int64(p, types.int64, types.int64), generate

    return intrinsic(change)


swap, add = _changing("xchg"), _changing("add")


@intrinsic
def call(typing: Any, function: Any, first: Any, second: Any) -> Any:
    """Call a function of C's by its address, with two whole numbers; what it returns is dropped."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def place_of(typing: Any, p: Any) -> Any:
    """Return a pointer's address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _I64)

    return types.int64(p), generate


_BREATH: dict[str, tuple[str, tuple[int, ...]]] = {
    **dict.fromkeys(("x86_64", "amd64"), ("llvm.x86.sse2.pause", ())),
    **dict.fromkeys(("aarch64", "arm64"), ("llvm.aarch64.hint", (1,))),
}
"""LLVM's name for leaving a core to its other thread for some cycles, and its words."""


@intrinsic
def breathe(typing: Any) -> Any:
    """Leave the core to its other thread for some cycles, where it may have one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, words = _BREATH.get(platform.machine().lower(), ("", ()))
        if name:
            kind = ir.FunctionType(ir.VoidType(), [_I32] * len(words))
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [ir.Constant(_I32, word) for word in words])
        return context.get_dummy_value()

    return types.void(), generate


@part
def _until_other(p, place, than, asleep, looks, lock, acquire):
    """Wait until the number at a place is another than it was: look at it so many times, then sleep at the lock.

    Who writes it clears the flag `asleep`, and lets the lock go if it was set: one of the two finds it set.
    """
    for _ in range(looks):
        if look(p, place) != than:
            return
        breathe()
    while look(p, place) == than:
        tell(p, asleep, 1)
        if look(p, place) != than and swap(p, asleep, 0) == 1:
            return
        call(acquire, lock, 1)


@part
def _announce(p, place, number, asleep, lock, release):
    """Write a number, and wake who sleeps until it is another."""
    tell(p, place, number)
    if swap(p, asleep, 0) == 1:
        call(release, lock, 0)


@part
def _make(table, piece, pieces, own, room):
    """Make the calls of a piece."""
    at = table[pieces + piece]
    while at < table[pieces + piece + 1]:
        words = table[at + 1]
        for i in range(words):
            word = table[at + 2 + i]
            room[i] = word - OWN + own if word >= OWN else word
        call(table[at], place_of(room), 0)
        at += 2 + words


@part
def _take(table, me, own, room):
    """Make the calls of this thread's pieces, then of those that the others have not begun."""
    threads = table[0]
    pieces = LINE * (1 + threads)
    for further in range(threads):
        part_of = LINE * (1 + (me + further) % threads)
        turn = add(table, part_of, 1)
        while turn < table[part_of + 2]:
            _make(table, table[part_of + 1] + turn, pieces, own, room)
            turn = add(table, part_of, 1)


@kernel
def serve(state: int, given: int, end: int, acquire: int, release: int, zero: Number) -> None:
    """Do what a leader gives, and wait again, without an end.

    Args:
        state: this helper's; see `meeting_places`.
        given: the lock to sleep at until something is given.
        end: the lock that the leader sleeps at.
        acquire: Python's function that takes a lock.
        release: the one that lets it go.
        zero: of any type.
    """
    p = pointer(state, 0)
    number = 0
    while True:
        _until_other(p, GIVEN, number, ASLEEP, 0, given, acquire)
        number += 1
        _take(pointer(p[TABLE], 0), p[NUMBER], p[BASE], shift(p, ROOM))
        _announce(p, DONE, number, WAITING, end, release)


@kernel
def lead(
    table: int,
    own: int,
    room: int,
    helpers: int,
    count: int,
    looks: int,
    acquire: int,
    release: int,
    zero: Number,
) -> None:
    """Give a table to some helpers, take part, and wait for them.

    Args:
        table: what there is to do.
        own: the memory of the calling thread.
        room: holds the words of a call.
        helpers: four numbers of each: its state, its two locks, the address of its memory.
        count: how many.
        looks: how often to look for a helper's end before sleeping.
        acquire: Python's function that takes a lock.
        release: the one that lets it go.
        zero: of any type.
    """
    told = pointer(helpers, 0)
    for i in range(count):
        p = pointer(told[4 * i], 0)
        p[TABLE], p[NUMBER], p[BASE] = table, i + 1, told[4 * i + 3]
        _announce(p, GIVEN, p[GIVEN] + 1, ASLEEP, told[4 * i + 1], release)
    _take(pointer(table, 0), 0, own, pointer(room, 0))
    for i in range(count):
        p = pointer(told[4 * i], 0)
        _until_other(p, DONE, p[GIVEN] - 1, WAITING, looks, told[4 * i + 2], acquire)


@kernel
def look_often(state: int, looks: int, zero: Number) -> None:
    """Look at a number that stays what it is, as who waits does: how long does that take?"""
    p = pointer(state, 0)
    for _ in range(looks):
        if look(p, GIVEN) != 0:
            return
        breathe()
