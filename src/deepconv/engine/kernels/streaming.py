"""Stores past the caches: for results too large to be still there when somebody reads them.

An ordinary store first fetches the line that it overwrites. Past the caches a result of 26 MB took two thirds of the
time, one of 2 MB, which a cache holds, twice as long.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import TARGET, lanes, store

VECTOR_BYTES = TARGET.vector_bytes


@intrinsic
def stream(typing: Any, p: Any, index: Any, value: Any) -> Any:
    """Write a vector past the caches to where `p[index]` begins, aligned to whole vectors; `finish` must follow."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = emit.at(builder, *args[:2])
        written = builder.store(args[2], builder.bitcast(place, args[2].type.as_pointer()))
        written.align = TARGET.vector_bytes
        hint = builder.module.add_metadata([ir.Constant(emit.I32, 1)])
        written.set_metadata("nontemporal", hint)
        return context.get_dummy_value()

    return types.void(p, types.int64, value), generate


@intrinsic
def finish(typing: Any) -> Any:
    """Let other threads see what was streamed before anything that is written later."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@part
def put(p, index, value, streamed):
    """Write a vector to where `p[index]` begins, as `stream` does if `streamed`."""
    if streamed:
        stream(p, index, value)
    else:
        store(p, index, value)


@part
def first_whole(to, count, zero):
    """Return how many numbers come before the first whole vector at `to`: a store across two lines takes two."""
    return min(count, -to % VECTOR_BYTES * lanes(zero) // VECTOR_BYTES)
