"""Numba, asked for machine code: every compile flag; `numba_target.py` knows its insides.

    @part                                   @kernel
    def twice(v):                           def double(x_address, n, zero: Number):
        return v + v                            x = pointer(x_address, zero) …

A part becomes part of the kernels that call it; a kernel becomes a function that Python calls.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.target_extension import target_override
from numba.extending import intrinsic

from deepconv.engine.kernels.compile import LISTED
from deepconv.engine.kernels.numba_target import NAME, Dispatcher

# No fastmath: NaN and infinity must arrive, and the order of sums is the kernel's own. No wrappers: the
# function is called by its address, and what is left needs nothing of Numba at run time.
_OPTIONS = {
    "nopython": True, "nogil": True, "error_model": "numpy", "boundscheck": False, "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True, "_nrt": False, "forceinline": False,
}  # fmt: skip


class Number(float):
    """Marks a kernel's parameter that has the type the kernel computes in; every other is a whole number."""


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that Python calls, through `compile.library`.

    It takes int64 numbers and those marked `Number`, the last of them `zero`, which is filled in; it
    returns nothing and must not raise.
    """
    if list(inspect.signature(function).parameters.values())[-1].annotation is not Number:
        raise TypeError(f"kernel: the last parameter of {function.__qualname__} must be zero: Number")
    return function


def part(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call, and that becomes part of them."""
    return Dispatcher(function, {**_OPTIONS, "forceinline": True})


def routine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call and that stays one of its own, with all registers to itself.

    Inlined, a tile's loop shared them with the kernel around it, and spilled a sum at every step.
    """
    return Dispatcher(function, _OPTIONS)


@intrinsic
def stays_apart(typing: Any) -> Any:
    """Keep LLVM from making the calling `routine` a part of its caller."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return numba.types.void(), generate


def compiled(function: Callable[..., Any], dtype: np.dtype[Any], cpu: str | None) -> bytes:
    """Return the symbol of a kernel's function for Python, and its object code, with a zero byte between.

    Args:
        function: the kernel.
        dtype: float32 or float64.
        cpu: what LLVM calls the processor to compile for; None is this one.
    """
    if cpu is not None:
        config.CPU_NAME, config.CPU_FEATURES = cpu, ""
    result, kinds = _compiled(function, dtype)
    # Files have kernels of the same name, and the linker finds the first of a name that it was given.
    symbol = f"deepconv_{function.__module__.rpartition('.')[2]}_{function.__name__}_{dtype.char}"
    # Routines are named by the order in which a process compiled them, so each object keeps its own.
    text = str(result.library._final_module).replace("define linkonce_odr ", "define internal ")
    text += _entry(symbol, result.fndesc.llvm_func_name, kinds[:-1], dtype)
    text += _listed(symbol + LISTED, result.fndesc.llvm_func_name, kinds[:-1], dtype)
    code = result.library._codegen._tm.emit_object(binding.parse_assembly(text))
    return b"\0".join([symbol.encode(), bytes(code)])


def _listed(symbol: str, function: str, kinds: str, dtype: np.dtype[Any]) -> str:
    """Return LLVM's text of a kernel as machine code calls it: `void (int64_t *words, int64_t)`, without the GIL.

    The words are its whole numbers and addresses in their order; nothing where it takes other numbers.
    """
    if "n" in kinds:
        return ""
    number = {"f": "float", "d": "double"}[dtype.char]
    lines = ["%result = alloca ptr", "%error = alloca ptr"]
    for i in range(len(kinds)):
        lines += [f"%p{i} = getelementptr i64, ptr %words, i64 {i}", f"%a{i} = load i64, ptr %p{i}"]
    args = ", ".join(["ptr %result", "ptr %error", *(f"i64 %a{i}" for i in range(len(kinds)))])
    lines += [f'call i32 @"{function}"({args}, {number} 0.0)', "ret void"]
    body = "\n  ".join(lines)
    return f"define void @{symbol}(ptr %words, i64 %nothing) {{\n  {body}\n}}\n"


_DECLARED = {
    "PyLong_AsLongLong": "i64 (ptr)",
    "PyFloat_AsDouble": "double (ptr)",
    "PyErr_Occurred": "ptr ()",
    "PyErr_BadArgument": "i32 ()",
    "PyEval_SaveThread": "ptr ()",
    "PyEval_RestoreThread": "void (ptr)",
    "PyLong_FromLong": "ptr (i64)",
}
"""What the entry below calls of Python, all of its stable interface."""


def _entry(symbol: str, function: str, kinds: str, dtype: np.dtype[Any]) -> str:
    """Return LLVM's text of a kernel as Python calls it: `PyObject *(PyObject *, PyObject *const *, Py_ssize_t)`.

    An array in place of an address is read where it lies: in an object of the type that stands in the first argument,
    the address of the numbers is the first thing behind the object's head (`PyArrayObject_fields.data`), whose last
    thing is its type. All other arguments are Python's numbers. ctypes took 0.5 µs for a call and 0.6 µs for each
    array's address, this 0.15 in all. Numba's own convention is a place for the result, one for an error, then the
    rest.
    """
    head, number = object.__basicsize__, {"f": "float", "d": "double"}[dtype.char]
    lines = [
        "%result = alloca ptr", "%error = alloca ptr", f"%counted = icmp eq i64 %count, {len(kinds)}",
        "br i1 %counted, label %take0, label %miscounted",
        "miscounted:", "%told = call i32 @PyErr_BadArgument()", "ret ptr null",
    ]  # fmt: skip
    args = ["ptr %result", "ptr %error"]
    for i, kind in enumerate(kinds):
        lines += [
            f"take{i}:",
            f"%p{i} = getelementptr ptr, ptr %given, i64 {i}",
            f"%o{i} = load ptr, ptr %p{i}",
        ]
        if kind == "n":
            lines.append(f"%d{i} = call double @PyFloat_AsDouble(ptr %o{i})")
            lines.append(f"%a{i} = {'fptrunc' if number == 'float' else 'bitcast'} double %d{i} to {number}")
        else:
            lines += [
                f"%t{i} = getelementptr i8, ptr %o{i}, i64 {head - 8}", f"%type{i} = load ptr, ptr %t{i}",
                f"%is{i} = icmp eq ptr %type{i}, %array", f"br i1 %is{i}, label %array{i}, label %number{i}",
                f"array{i}:", f"%n{i} = getelementptr i8, ptr %o{i}, i64 {head}", f"%b{i} = load i64, ptr %n{i}",
                f"br label %known{i}",
                f"number{i}:", f"%c{i} = call i64 @PyLong_AsLongLong(ptr %o{i})", f"br label %known{i}",
                f"known{i}:", f"%a{i} = phi i64 [ %b{i}, %array{i} ], [ %c{i}, %number{i} ]",
            ]  # fmt: skip
        lines.append(f"br label %take{i + 1}")
        args.append(f"{number if kind == 'n' else 'i64'} %a{i}")
    lines += [
        f"take{len(kinds)}:", "%wrong = call ptr @PyErr_Occurred()", "%fine = icmp eq ptr %wrong, null",
        "br i1 %fine, label %run, label %raise",
        "raise:", "ret ptr null",
        "run:", "%thread = call ptr @PyEval_SaveThread()",
        f'call i32 @"{function}"({", ".join(args)}, {number} 0.0)',
        "call void @PyEval_RestoreThread(ptr %thread)", "%nothing = call ptr @PyLong_FromLong(i64 0)",
        "ret ptr %nothing",
    ]  # fmt: skip
    declared = (f"declare {kind.replace('(', f'@{name}(')}" for name, kind in _DECLARED.items())
    body = "\n  ".join(lines)
    return "\n".join(
        ["", *declared, f"define ptr @{symbol}(ptr %array, ptr %given, i64 %count) {{\n  {body}\n}}\n"]
    )


def assembly(function: Callable[..., Any], dtype: np.dtype[Any], triple: str, cpu: str) -> str:
    """Return the assembly of a kernel for another machine: to be read, not run."""
    result, _ = _compiled(function, dtype)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module = binding.parse_assembly(str(result.library._final_module))
    module.triple = triple
    return str(target.emit_assembly(module))


def _compiled(function: Callable[..., Any], dtype: np.dtype[Any]) -> tuple[Any, str]:
    """Return Numba's result for a kernel, and a letter for each argument: i for whole numbers, n for others."""
    parameters = inspect.signature(function).parameters.values()
    kinds = "".join("n" if p.annotation is Number else "i" for p in parameters)
    number = numba.from_dtype(dtype)
    signature = tuple(number if kind == "n" else numba.int64 for kind in kinds)
    dispatcher = Dispatcher(function, _OPTIONS)
    with global_compiler_lock, target_override(NAME):
        dispatcher.compile(signature)
        result = dispatcher.overloads[signature]
        result.library._codegen.optimise(result.library._final_module)
    return result, kinds
