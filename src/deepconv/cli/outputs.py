"""Which pictures a command works on and where each result goes, all of it decided before any work is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "Job",
    "Plan",
    "beside",
    "check_output",
    "find_pictures",
    "is_folder",
    "is_picture_name",
    "plan_outputs",
]

# How names of pictures end: what a folder is searched for. Files that are named are read whatever they are called.
_PICTURES = (
    *(
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
    ),
    *(
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".ico",
        ".pcx",
        ".sgi",
        ".rgb",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpx",
    ),
)
_SLASHES = os.sep + (os.altsep or "")


@dataclass(frozen=True)
class Job:
    """One picture.

    Attributes:
        source: the file to read.
        out: the file to write.
    """

    source: Path
    out: Path


@dataclass(frozen=True)
class Plan:
    """All the work there is.

    Attributes:
        jobs: one for each picture.
        several: more than one picture was asked for, or a folder: one that fails doesn't end the others.
        errors: folders that can't be looked into, each with the reason.
    """

    jobs: tuple[Job, ...]
    several: bool
    errors: tuple[tuple[str, str], ...] = ()


@dataclass
class _Search:
    """Pictures found, each with its place below the folder that was named, and what could not be searched."""

    found: list[tuple[Path, Path, Path | None]] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)


def plan_outputs(
    op: str, named: Sequence[str], to: str | None, tag: str, *, recursive: bool, force: bool
) -> Plan:
    """Return every picture with the file that its result goes to.

    Args:
        op: the command, for messages.
        named: files, and folders whose pictures are meant.
        to: where to: for one file a file, or a folder that is there or whose name ends in a slash; for several
            a folder. None: beside the picture, called as it is with `tag`; of a folder, a folder beside it.
        tag: what names a result where none was given, such as `sharpen`.
        recursive: whether folders are searched to any depth; their structure is kept.
        force: whether files that are there may be replaced.

    Raises:
        ValueError: there is no picture, an output has no known format or no folder, would replace something
            unasked, or two pictures would be written to one file.

    Example:
        >>> plan_outputs("filter", ["a.jp2"], None, "box", recursive=False, force=False).jobs
        (Job(source=PosixPath('a.jp2'), out=PosixPath('a-box.png')),)
    """
    out = Path(to) if to else None
    several = len(named) > 1 or is_folder(Path(named[0]))
    to_folder = out is not None and (several or is_folder(out) or str(to)[-1] in _SLASHES)
    if several and out is not None and _is_there(out) and not out.is_dir():
        raise ValueError(f"{op}: -o {out} is a file, and there are several pictures; name a folder")
    if several and out is not None and not _is_there(out) and out.suffix.lower() in _PICTURES:
        raise ValueError(f"{op}: -o {out} names one picture, and there are several; name a folder")
    search = _Search()
    for name in map(Path, named):
        if is_folder(name):
            _look_into(op, name, out, search, recursive=recursive)
        else:
            search.found.append((name, Path(name.name), None))
    jobs = []
    for source, place, root in search.found:
        if to_folder and out is not None:
            target = _writable(out / place)
        elif out is not None:
            target = out
        elif root is None:
            target = beside(source, tag)
        else:
            target = _writable(_sibling(root, tag) / place)
        check_output(op, target, make_folder=to_folder or root is not None)
        jobs.append(Job(source, target))
    _check_apart(op, jobs)
    _check_free(op, jobs, force=force)
    return Plan(tuple(jobs), several, tuple(search.errors))


def is_picture_name(name: str) -> bool:
    """Tell whether a file is called as pictures are: what a folder is searched for.

    Args:
        name: the file's.

    Example:
        >>> is_picture_name("photo.JPG"), is_picture_name("README.md")
        (True, False)
    """
    return Path(name).suffix.lower() in _PICTURES


def find_pictures(op: str, named: Sequence[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the pictures that are meant by files and folders, and folders that can't be looked into, with reasons.

    Args:
        op: the command, for the message.
        named: files, which are pictures whatever they are called, and folders whose own pictures are meant.

    Raises:
        ValueError: a folder holds no pictures.

    Example:
        >>> find_pictures("predict", [Path("scan")])
        ([PosixPath('scan')], [])
    """
    search = _Search()
    for name in named:
        if is_folder(name):
            _look_into(op, name, None, search, recursive=None)
        else:
            search.found.append((name, Path(name.name), None))
    return [source for source, _, _ in search.found], search.errors


def beside(source: Path, tag: str, ending: str | None = None) -> Path:
    """Return the name of a result that lies beside its picture.

    Args:
        source: the picture.
        tag: what is put behind its name.
        ending: of the result; None takes the picture's own, or .png where that can't be written.

    Example:
        >>> beside(Path("holiday/photo.jpg"), "sharpen").as_posix()
        'holiday/photo-sharpen.jpg'
    """
    named = source.with_name(f"{source.stem}-{tag}{source.suffix}")
    return _writable(named) if ending is None else named.with_suffix(ending)


def check_output(op: str, out: Path, *, make_folder: bool = False) -> None:
    """Refuse a file that can't be written whatever the picture.

    Args:
        op: the command, for the message.
        out: the file.
        make_folder: whether its folder will be made.

    Raises:
        ValueError: its ending names no format, its folder is missing, or it is no plain file.

    Example:
        >>> check_output("filter", Path("photo.doc"))
        Traceback (most recent call last):
        ValueError: filter: -o photo.doc: '.doc' names no format; use .png, .jpg, ...
    """
    from deepconv.images.writing import ENDINGS

    where = f"{op}: -o {out}"
    if out.suffix.lower() not in ENDINGS:
        raise ValueError(f"{where}: {out.suffix or 'no ending'!r} names no format; use {', '.join(ENDINGS)}")
    if _is_there(out) and not out.is_file():
        raise ValueError(f"{where} is not a plain file; choose another name")
    if not make_folder and not is_folder(out.parent):
        raise ValueError(f"{where}: there is no folder {str(out.parent)!r}; make it first")


def is_folder(name: Path) -> bool:
    """Tell whether a folder is there. One that may not be looked at is left to the reader, who says so.

    Args:
        name: the folder, or something else.

    Example:
        >>> is_folder(Path("x" * 300))
        False
    """
    with contextlib.suppress(OSError):
        return name.is_dir()
    return False


def _is_there(name: Path) -> bool:
    with contextlib.suppress(OSError):
        return name.exists()
    return False


def _writable(name: Path) -> Path:
    """Return the name with an ending that can be written."""
    from deepconv.images.writing import ENDINGS

    return name if name.suffix.lower() in ENDINGS else name.with_name(f"{name.stem}.png")


def _sibling(root: Path, tag: str) -> Path:
    """Return the folder beside a folder; `.` and `..` have names of their own."""
    root = root.resolve() if root.name in ("", "..") else root
    return root.with_name(f"{root.name or 'pictures'}-{tag}")


def _look_into(op: str, root: Path, out: Path | None, search: _Search, *, recursive: bool | None) -> None:
    """Add the pictures of a folder, by name, in order; what lies in `out` is none of them. None: never deeper."""
    before, deeper = len(search.found), False
    own = os.path.realpath(out) if out is not None else None
    for folder, folders, files in _walked(root, search):
        inside = own is not None and os.path.realpath(folder) == own
        if inside and folder != root:
            folders.clear()
            continue
        for name in files:
            file = folder / name
            if is_picture_name(name) and not name.startswith(".") and file.is_file():
                search.found.append((file, file.relative_to(root), root))
        if not recursive:
            deeper = bool(folders)
            break
    if len(search.found) == before and not search.errors:
        deep = "; name its folders" if recursive is None else "; add --recursive to look into its folders"
        hint = deep if deeper else "; name one that has some"
        raise ValueError(f"{op}: {root} holds no pictures{hint}")


def _walked(root: Path, search: _Search) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield folders with their sorted contents; links to folders are not followed, hidden folders passed over."""

    def failed(error: OSError) -> None:
        reason = f"can't be read: {error.strerror or error}; check who may read it"
        search.errors.append((str(error.filename or root), reason))

    for folder, folders, files in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), folders, sorted(files)


def _check_apart(op: str, jobs: Sequence[Job]) -> None:
    """Refuse two results for one file, and a result in the place of a picture that is yet to be read."""
    taken: dict[str, Path] = {}
    for job in jobs:
        there = os.path.realpath(job.out)
        if there in taken:
            raise ValueError(
                f"{op}: {taken[there]} and {job.source} would both be written to {job.out}; do them one by one, "
                f"or rename one"
            )
        taken[there] = job.source
    for job in jobs:
        writer = taken.get(os.path.realpath(job.source))
        if writer is not None and os.path.realpath(writer) != os.path.realpath(job.source):
            raise ValueError(
                f"{op}: the result of {writer} would replace {job.source}, which is to be read too; name another "
                f"folder with -o"
            )


def _check_free(op: str, jobs: Sequence[Job], *, force: bool) -> None:
    """Refuse to replace a file unasked."""
    held = [] if force else [job for job in jobs if _is_there(job.out)]
    if not held:
        return
    first, others = held[0], len(held) - 1
    more = f", and {others:,} other{'s' if others > 1 else ''} too" if others else ""
    if os.path.realpath(first.out) == os.path.realpath(first.source):
        said = f"{first.out} is the picture itself{more}"
    else:
        said = f"{first.out} exists already{more}"
    raise ValueError(
        f"{op}: {said}; add --force to replace {'them' if others else 'it'}, or choose another -o"
    )
