"""A target of Numba's that has what kernels use and no more: a third less time to compile, half for the first kernel.

Kernels are of numbers, tuples, ranges and vectors; their machine code is written to a file and loaded by us. So:

- Only the rules of typing and the implementations of these are there. Numba's own target loads arrays, strings,
  lists, sets, dicts, random numbers, dates and SciPy's BLAS, asks all of them about every sign between two numbers,
  and looks for new ones at each function and at each call of an intrinsic.
- Nothing is counted, as nothing is allocated.
- Of the passes over a function's own representation those for closures, `with`, literals, parallel loops and
  exceptions are left out.
- A part is never made executable. Numba optimises each function with all that it calls, and makes it so: five
  times what lies five calls deep. Here each is simplified alone, once, and kernels are optimised whole.
"""

from typing import Any

from numba import types
from numba.core import cpu, registry, target_extension, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, PassManager
from numba.core.descriptors import TargetDescriptor
from numba.core.imputils import Registry, builtin_registry
from numba.core.typing import BaseContext, mathdecl, templates
from numba.core.typing import builtins as _typing_of_builtins  # noqa: F401 (to be imported registers it)
from numba.core.typing import collections as _typing_of_tuples  # noqa: F401 (likewise)
from numba.cpython import builtins as _builtins  # noqa: F401 (likewise)
from numba.cpython import iterators, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401 (likewise)

NAME = "deepconv"

# At 3, LLVM makes a copy of loops for each side of a flag that doesn't change in them: Winograd's kernel took 5.4 s
# of CPU time and 53 KB, and wasn't faster.
_LEVEL = 2

_OVERLOADS = (templates._OverloadFunctionTemplate, templates._OverloadAttributeTemplate)
"""Functions in Python that are compiled where they are called: Numba's, for arrays and the like."""


_RULES, _LOWERED = templates.Registry(), Registry(NAME)
"""What is ours alone, and changes nothing for other users of Numba in the process."""


def _of_whole_numbers(function: Any, sign: str) -> None:
    """Give kernels `min` or `max` of whole numbers; Numba's is an overload, three functions for each pair of types."""

    @_RULES.register_global(function)
    class Rule(templates.AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) < 2 or not all(isinstance(kind, types.Integer) for kind in args):
                return None
            return templates.signature(*[types.int64] * (1 + len(args)))

    @_LOWERED.lower(function, types.VarArg(types.int64))
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = args[0]
        for other in args[1:]:
            found = builder.select(builder.icmp_signed(sign, found, other), found, other)
        return found


@_RULES.register_global(int)
class _Whole(templates.AbstractTemplate):
    """`int` of a number; Numba's is an overload too."""

    key = int

    def generic(self, args: Any, kws: Any) -> Any:
        if kws or len(args) != 1 or not isinstance(args[0], types.Integer | types.Float):
            return None
        return templates.signature(types.int64, args[0])


@_LOWERED.lower(int, types.Any)
def _whole(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return context.cast(builder, args[0], signature.args[0], types.int64)


_of_whole_numbers(min, "<=")
_of_whole_numbers(max, ">=")


class _Rules(BaseContext):
    """Which types come of which."""

    def init(self) -> None:
        """Begin with the rules of `math`, for its constants, and with ours."""
        self._taken = dict.fromkeys(("functions", "attributes", "globals"), 0)
        self.install_registry(_RULES)
        self.install_registry(mathdecl.registry)

    def refresh(self) -> None:
        """Take up what was registered meanwhile, by files of kernels too."""
        for rule in self._new("functions"):
            if not issubclass(rule, _OVERLOADS):
                self.insert_function(rule(self))
        for rule in self._new("attributes"):
            if not issubclass(rule, _OVERLOADS):
                self.insert_attributes(rule(self))
        for value, kind in self._new("globals"):
            if isinstance(kind, types.Function):
                rules = tuple(rule for rule in kind.templates if not issubclass(rule, _OVERLOADS))
                if rules:
                    self._take(value, types.Function(rules))
            else:
                self._take(value, kind)

    def _new(self, name: str) -> list[Any]:
        """Return what was registered since the last look."""
        found: list[Any] = getattr(templates.builtin_registry, name)[self._taken[name] :]
        self._taken[name] += len(found)
        return found

    def _take(self, value: Any, kind: Any) -> None:
        """Know a global name's value by its type; a function may be given rules one by one."""
        known = self._lookup_global(value)
        if known is None:
            self.insert_global(value, kind)
        elif (both := known.augment(kind)) is not None:
            self._remove_global(value)
            self._insert_global(value, both)


class _Program(JITCodeLibrary):
    """What a function became in LLVM's language, with what it calls."""

    def _optimize_final_module(self) -> None:
        """Leave the whole to `_Codegen.optimise`."""

    def _finalize_specific(self) -> None:
        """Load nothing."""


class _Codegen(JITCPUCodegen):
    """What makes programs."""

    _library_class = _Program

    def _add_module(self, module: Any) -> None:
        """Load nothing."""

    def _check_llvm_bugs(self) -> None:
        """Check once a kernel, not for each function."""

    def _pass_builder(self, **options: Any) -> Any:
        return super()._pass_builder(**{"opt": _LEVEL, **options})

    def optimise(self, program: Any) -> None:
        """Optimise a kernel with all that it calls."""
        super()._check_llvm_bugs()
        passes, builder = self._module_pass_manager()
        passes.run(program, builder)


class _Implementations(cpu.CPUContext):
    """What is done with them."""

    def init(self) -> None:
        """Begin with Numba's implementations; the registry that comes first is the one that intrinsics are added to."""
        super().init()
        self._internal_codegen = _Codegen(NAME)
        self._sizes: dict[str, int] = {}
        self.install_registry(builtin_registry)
        self.install_registry(mathimpl.registry)
        self.install_registry(_LOWERED)

    def refresh(self) -> None:
        """Take up what was registered meanwhile."""
        self.install_registry(builtin_registry)
        self.typing_context.refresh()

    def get_abi_sizeof(self, ty: Any) -> int:
        """Return a type's bytes, for which LLVM reads a program each time."""
        name = str(ty)
        if name not in self._sizes:
            self._sizes[name] = super().get_abi_sizeof(ty)
        return self._sizes[name]

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Link nothing of Numba's."""

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        """Return what the function is known by among implementations; it can't be called."""
        library.finalize()
        return object()


class _Descriptor(TargetDescriptor):
    """What Numba asks for a target's parts; they are made when a kernel is compiled first."""

    options = cpu.CPUTargetOptions

    def __init__(self) -> None:
        super().__init__(NAME)
        self._parts: tuple[_Rules, _Implementations] | None = None

    def _made(self) -> tuple[_Rules, _Implementations]:
        if self._parts is None:
            rules = _Rules()
            self._parts = rules, _Implementations(rules, NAME)
        return self._parts

    @property
    def typing_context(self) -> Any:
        """The rules."""
        return self._made()[0]

    @property
    def target_context(self) -> Any:
        """The implementations."""
        return self._made()[1]


class _Compiler(CompilerBase):
    """The passes that a function goes through."""

    def define_pipelines(self) -> list[Any]:
        """Return them in their order."""
        passes = PassManager(NAME)
        for step in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.GenericRewrites,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


class Dispatcher(registry.CPUDispatcher):
    """A function for this target, compiled for each combination of types that it is called with."""

    targetdescr = _Descriptor()

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        """Take the function, and Numba's options."""
        super().__init__(function, targetoptions=options, pipeline_class=_Compiler)

    def add_overload(self, cres: Any) -> None:
        """Remember what was compiled for some types, for kernels and not for Python."""
        self.overloads[tuple(cres.signature.args)] = cres


class _Kernels(target_extension.CPU):
    """What Numba knows the target by."""


target_extension.target_registry[NAME] = _Kernels
target_extension.dispatcher_registry[_Kernels] = Dispatcher
