"""Check the rules of the house that no linter knows. Prints what breaks one; exits 1 if anything does.

In every tracked text file: no path of one person's machine, no address of a package registry.
In the Python files of `src`, `tests` and `tools`: at most 500 lines. In `src`: no assert, no bare except,
no pickle, no print outside the command line; every public function, class and method has a docstring and
its types; at most 60 lines of code in a function.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 500
FUNCTION_LINES = 60

# Both are written so that they do not match themselves.
PERSONAL = r"(?<![\w.~{}$)\]<>*/-])/(?:work|root|tmp|home|Users|opt)/+[\w.]|\b[A-Z]:\\{1,2}Users\b"
MACHINE_PATH = re.compile(PERSONAL)
REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian|conda|anaconda)\.(?:org|com)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Finding = tuple[int, str]


def main() -> int:
    """Check every tracked file and return the exit status."""
    files = tracked()
    classes = class_table([path for path in files if is_source(path)])
    broken = 0
    for path in files:
        for line, problem in sorted(check(path, classes)):
            print(f"{path.relative_to(ROOT)}:{line}: {problem}")
            broken += 1
    return 1 if broken else 0


def tracked() -> list[Path]:
    """List the files that git tracks and that exist, those about to be committed included."""
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [path for name in out.decode().split("\0") if name and (path := ROOT / name).is_file()]


def is_source(path: Path) -> bool:
    """Tell whether `path` is a Python file of the package."""
    return path.suffix == ".py" and ROOT / "src" in path.parents


def check(path: Path, classes: dict[str, ast.ClassDef]) -> Iterator[Finding]:
    """Yield each broken rule in one file, as (line, problem)."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return  # a picture, a model, data
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield number, "a path of one person's machine"
        if REGISTRY.search(line):
            yield number, "the address of a package registry"
    if path.suffix != ".py":
        return
    folder = path.relative_to(ROOT).parts[0]
    if folder in ("src", "tests", "tools") and (length := len(text.splitlines())) > FILE_LINES:
        yield length, f"{length} lines in one file, more than {FILE_LINES}"
    if is_source(path):
        tree = ast.parse(text)
        yield from forbidden(tree, may_print="cli" in path.relative_to(ROOT).with_suffix("").parts)
        yield from functions_too_long(tree)
        yield from undocumented(tree, classes)


def forbidden(tree: ast.Module, *, may_print: bool) -> Iterator[Finding]:
    """Yield each assert, bare except, use of pickle and print."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert():
                yield node.lineno, "assert: raise ValueError or TypeError (python -O drops asserts)"
            case ast.ExceptHandler(type=None):
                yield node.lineno, "bare except: name the exceptions"
            case ast.Import(names=names) if any("pickle" in name.name for name in names):
                yield node.lineno, "pickle: a file must not run code"
            case ast.ImportFrom(module=str(module)) if "pickle" in module:
                yield node.lineno, "pickle: a file must not run code"
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                yield node.lineno, "allow_pickle=True: a file must not run code"
            case ast.Call(func=ast.Name(id="print")) if not may_print:
                yield node.lineno, "print: only the command line speaks"


def functions_too_long(tree: ast.Module) -> Iterator[Finding]:
    """Yield each function with more lines than allowed; its docstring does not count."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            length = node.end_lineno - node.lineno + 1 if node.end_lineno else 0
            if ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                length -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name}: {length} lines of code, more than {FUNCTION_LINES}"


def undocumented(tree: ast.Module, classes: dict[str, ast.ClassDef]) -> Iterator[Finding]:
    """Yield each public name without a docstring or without its types."""
    for node in tree.body:
        if isinstance(node, Function) and is_public(node.name):
            yield from missing(node, node.name, inherited=False)
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            if ast.get_docstring(node) is None:
                yield node.lineno, f"{node.name}: no docstring"
            for method in methods(node):
                if is_public(method.name):
                    inherited = method.name in inherited_methods(node, classes)
                    yield from missing(method, f"{node.name}.{method.name}", inherited=inherited)


COMPILED = ("kernel", "part", "routine")


def is_kernel(node: Function) -> bool:
    """Tell whether Numba compiles the function: what isn't marked is a whole number, or has Numba's own types."""
    return any(isinstance(d, ast.Name) and d.id in COMPILED for d in node.decorator_list)


def missing(node: Function, name: str, *, inherited: bool) -> Iterator[Finding]:
    """Yield what a public function or method lacks."""
    if ast.get_docstring(node) is None and not inherited and not is_accessory(node):
        yield node.lineno, f"{name}: no docstring"
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
    if (untyped or node.returns is None) and not is_kernel(node):
        yield node.lineno, f"{name}: no type for {', '.join(untyped) or 'what it returns'}"


def is_accessory(node: Function) -> bool:
    """Tell whether a decorator says that the words stand elsewhere: an overload, a setter."""
    words = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
    return bool(words & {"overload", "setter", "deleter"})


def is_public(name: str) -> bool:
    """Tell whether a name is meant for others."""
    return not name.startswith("_")


def methods(node: ast.ClassDef) -> list[Function]:
    """List a class's own methods."""
    return [item for item in node.body if isinstance(item, Function)]


def class_table(paths: list[Path]) -> dict[str, ast.ClassDef]:
    """Find every class of the package by its name."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in paths)
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def inherited_methods(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Name the documented methods of the package's classes that `node` is made from."""
    found: set[str] = set()
    for base in node.bases:
        name = ast.unparse(base).split("[")[0].split(".")[-1]
        if name in classes and name != node.name:
            parent = classes[name]
            found |= {method.name for method in methods(parent) if ast.get_docstring(method) is not None}
            found |= inherited_methods(parent, classes)
    return found


if __name__ == "__main__":
    sys.exit(main())
