"""A folder of pictures, with a folder for each class, looked through without decoding a pixel.

    photos/cat/1.jpg   photos/cat/holidays/2.png   photos/dog/3.jpg     a class is called as its folder
    photos/train/cat/…   photos/val/cat/…   photos/test/cat/…           a ready split, where there is one

Pictures may lie at any depth within a class's folder. Symbolic links are followed, into each real folder
once per class, so that links in a circle end. Hidden files and what systems leave behind (`.DS_Store`,
`Thumbs.db`, `__MACOSX`) are passed over in silence; every other file that is no picture is named.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.copies import find_originals

__all__ = ["PictureFolder", "failure", "scan_folder", "split_folder"]

_PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation"}
_PARTS["test"] = "test"

_DROPPINGS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip

_CHUNK = 64  # headers that a thread reads in one go
_SHOWN = 5

Progress = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class PictureFolder:
    """What `scan_folder` found.

    Args:
        root: the folder.
        classes: their names, sorted; a label is a place in them.
        files: paths relative to `root`, with `/` between their parts, sorted.
        labels: the class of each, `(N,)` int64.
        parts: of a ready split the rows of "train" and, where they are there, "validation" and "test".
        skipped: what was passed over, `(file, reason)`, sorted.
        sizes: height and width of each when it stands upright, `(N, 2)`.
        grey: whether no picture has colours.
        originals: for each the row of the first picture with the same bytes, its own where there is none before;
            None where nobody looked.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: Array
    parts: Mapping[str, Array] | None
    skipped: tuple[tuple[str, str], ...]
    sizes: Array
    grey: bool
    originals: Array | None = None

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    def path(self, row: int) -> Path:
        """Return where picture `row` lies."""
        return self.root / self.files[row]

    def copies(self, rows: Array, of: Array) -> Array:
        """Return which of some rows hold a picture that is, byte for byte, among others too.

        Args:
            rows: such as those of the test part.
            of: such as those of the training part.
        """
        known = np.arange(len(self)) if self.originals is None else self.originals
        found: Array = rows[np.isin(known[rows], known[of])]
        return found

    def counts(self, rows: Array | None = None) -> Array:
        """Return the number of pictures of each class, `(K,)`.

        Args:
            rows: the pictures to count; None counts all.
        """
        labels = self.labels if rows is None else self.labels[rows]
        counted: Array = np.bincount(labels, minlength=len(self.classes))
        return counted


def scan_folder(
    root: str | os.PathLike[str],
    *,
    strict: bool = False,
    classes: Sequence[str] | None = None,
    workers: int = 8,
    progress: Progress | None = None,
) -> PictureFolder:
    """Find the pictures in a folder with a folder for each class, and read their headers.

    A file that is empty, no picture or larger than `read_picture` accepts is passed over and named in
    `skipped`, and so are files beside the classes' folders and names that are not valid text. A file that
    is cut short has a whole header: it shows when it is decoded.

    Args:
        root: the folder; see the top of `deepconv.data.folders` for what may be in it.
        strict: refuse the folder if anything would be passed over.
        classes: number the classes as these names are, all of which a model knows; some may be missing.
        workers: threads that read headers; the result is the same for any number.
        progress: called with the number of headers read so far and of all.

    Returns:
        the pictures, their classes and sizes.

    Raises:
        ValueError: there is no such folder, it has no pictures, only one class (unless `classes` are
            given), a class that `classes` lacks, a folder that can't be read, or a ready split whose parts
            have different classes; the text names it.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         (Path(root) / name).mkdir()
        ...         Image.new("L", (4, 3)).save(Path(root) / name / "1.png")
        ...     found = scan_folder(root)
        >>> found.classes, found.files, found.sizes.tolist(), found.grey
        (('cat', 'dog'), ('cat/1.png', 'dog/1.png'), [[3, 4], [3, 4]], True)
    """
    top = Path(root)
    where = f"scan_folder: root={os.fspath(root)!r}"
    skipped: list[tuple[str, str]] = []
    folders = _class_folders(where, top, skipped)
    listed: list[str] = []
    for folder in folders:
        listed += _files_below(where, top, folder, skipped)
    listed.sort()
    files, headers = _headers(top, listed, skipped, workers, progress)
    _name_empty_folders(folders, files, skipped)
    skipped.sort()
    if strict and skipped:
        raise ValueError(f"{where}: {_passed_over(skipped)}; remove them, or leave out strict=True")
    names = [name.split("/") for name in files]
    depth = 1 if folders and "/" in folders[0] else 0
    chosen = _classes(where, {name[depth] for name in names}, skipped, classes)
    number = {name: label for label, name in enumerate(chosen)}
    labels = np.array([number[name[depth]] for name in names], np.int64)
    parts = _ready_split(where, [name[0] for name in names], labels, chosen, classes) if depth else None
    sizes = np.array([(height, width) for height, width, _ in headers], np.int64).reshape(-1, 2)
    grey = all(plain for _, _, plain in headers)
    originals = find_originals([top / name for name in files], workers=workers)
    return PictureFolder(top, chosen, tuple(files), labels, parts, tuple(skipped), sizes, grey, originals)


def split_folder(
    folder: PictureFolder, seed: int, *, validation: float = 0.1, test: float = 0.2
) -> dict[str, Array]:
    """Divide a folder's pictures into training, validation and test parts, each with every class.

    A ready split stays as it is; a part that it lacks is drawn from its training part. Each class draws by
    itself, first the test part, so that neither another class nor the choice of `validation` moves it. Pictures with
    the same bytes stay together in one part, or a part that is held out would hold what was trained on.

    Args:
        folder: what `scan_folder` found.
        seed: draws the parts; equal seeds give equal parts.
        validation: share of each class that decides during training; 0 for none.
        test: share of each class that is held out; 0 for none.

    Returns:
        the rows of "train", "validation" and "test", each rising.

    Raises:
        ValueError: a share or the seed can't be, or a class has too few pictures for the parts.

    Example:
        >>> labels = np.repeat([0, 1], [10, 30])
        >>> sizes = np.full((40, 2), 9)
        >>> found = PictureFolder(Path(), ("a", "b"), ("",) * 40, labels, None, (), sizes, True)
        >>> {name: np.bincount(labels[rows]).tolist() for name, rows in split_folder(found, 0).items()}
        {'train': [7, 21], 'validation': [1, 3], 'test': [2, 6]}
    """
    if seed < 0:
        raise ValueError(f"split_folder: seed={seed} is negative; give a whole number of at least 0")
    if not (validation >= 0 <= test and validation + test < 1):
        raise ValueError(
            f"split_folder: validation={validation} and test={test} must be shares that leave some for training"
        )
    given = dict(folder.parts) if folder.parts else {"train": np.arange(len(folder))}
    shares = {"test": test, "validation": validation}
    shares = {name: share for name, share in shares.items() if share and name not in given}
    originals = np.arange(len(folder)) if folder.originals is None else folder.originals
    placed: dict[int, str] = {}  # originals, which another class may have placed already
    for label, name in enumerate(folder.classes):
        rows = given["train"][folder.labels[given["train"]] == label]
        _place(name, originals[rows], shares, placed, np.random.default_rng([seed, label]))
    drawn = np.array([placed[original] for original in originals[given["train"]].tolist()], dtype=np.str_)
    parts = {name: given["train"][drawn == name] for name in ("train", *shares)}
    none = np.empty(0, np.intp)
    return {name: parts.get(name, given.get(name, none)) for name in ("train", "validation", "test")}


def failure(error: BaseException, path: str | os.PathLike[str]) -> str:
    """Return why a picture can't be used, without the name of the file and of who says so.

    Args:
        error: what reading it raised.
        path: the file.

    Example:
        >>> failure(ValueError("read_picture: path='a.png': no such file; name a picture file"), "a.png")
        'no such file; name a picture file'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split()) or type(error).__name__
    _, found, after = words.partition(repr(os.fspath(path)))
    return after.lstrip(": ").removeprefix("can't be read: ") if found else words


def _place(
    name: str,
    originals: Array,
    shares: Mapping[str, float],
    placed: dict[int, str],
    chance: np.random.Generator,
) -> None:
    """Put each different picture of a class, with its copies, into a part; every part gets one at least."""
    different, first, sizes = np.unique(originals, return_index=True, return_counts=True)
    size = dict(zip(different.tolist(), sizes.tolist(), strict=True))
    has = dict.fromkeys((*shares, "train"), 0)
    for original in size.keys() & placed.keys():
        has[placed[original]] += size[original]
    # In the order of the rows: what is drawn is then the same as without this class's copies in another.
    waiting = [o for o in chance.permutation(different[np.argsort(first)]).tolist() if o not in placed]
    empty = [part for part, count in has.items() if not count]
    if len(waiting) < len(empty):
        pictures, several = len(originals), len(originals) != 1
        alike = f", {len(different)} of them different," if len(different) < pictures else ""
        raise ValueError(
            f"split_folder: class {name!r} has {pictures} picture{'s' * several}{alike} to divide between "
            f"{', '.join(('train', *shares))}, which takes at least {len(shares) + 1}; add some, or remove its folder"
        )
    for part, count in _counts(len(originals), shares).items():
        spare = len(waiting) - sum(not has[other] for other in has if other != part)
        for original in waiting:
            if spare > 0 and has[part] + size[original] <= count:
                placed[original], has[part], spare = part, has[part] + size[original], spare - 1
        if not has[part]:  # all are copied more often than that
            original = min(waiting, key=lambda one: size[one])
            placed[original], has[part] = part, size[original]
        waiting = [original for original in waiting if original not in placed]
    placed |= dict.fromkeys(waiting, "train")


def _counts(pictures: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of a class each drawn part gets: at least one, and one is left for training."""
    counts = {name: max(1, round(pictures * share)) for name, share in shares.items()}
    while pictures > len(shares) and sum(counts.values()) >= pictures:
        counts[max(counts, key=lambda name: counts[name])] -= 1
    return counts


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder in order, less what is hidden and what systems leave behind."""
    with os.scandir(folder) as found:
        entries = [e for e in found if not e.name.startswith(".") and e.name.casefold() not in _DROPPINGS]
    return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; its header can't be read and says so
        return False


def _shown(name: str) -> str:
    """Return a name as text, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_text(name: str) -> bool:
    return _shown(name) == name


def _class_folders(where: str, top: Path, skipped: list[tuple[str, str]]) -> list[str]:
    """Return the classes' folders relative to the top: `cat`, or `train/cat` of a ready split."""
    if not top.is_dir():
        kind = "is a file" if top.exists() else "is not there"
        raise ValueError(f"{where} {kind}; name a folder that holds a folder of pictures for each class")
    names = _folders_in(where, top, "", skipped)
    split = [name for name in names if name.casefold() in _PARTS]
    if split and len(split) == len(names):
        parts = [_PARTS[name.casefold()] for name in split]
        if "train" not in parts or len(set(parts)) < len(parts):
            raise ValueError(f"{where} holds {split}; a ready split has train and, if need be, val and test")
        return [folder for part in split for folder in _folders_in(where, top, f"{part}/", skipped)]
    if len(split) > 1 and "train" in [name.casefold() for name in split]:
        others = sorted(set(names) - set(split))
        raise ValueError(
            f"{where} holds {split} beside {others[:_SHOWN]}: a ready split or classes? Move one of them away"
        )
    return names


def _folders_in(where: str, top: Path, inside: str, skipped: list[tuple[str, str]]) -> list[str]:
    """Return the folders in the top folder, or in one part of it; what else lies there is passed over."""
    try:
        entries = _entries(top / inside)
    except OSError as error:
        raise ValueError(f"{where}: {inside or 'it'} can't be read: {error.strerror}; allow it") from error
    folders = []
    for entry in entries:
        if not _is_folder(entry):
            skipped.append((_shown(inside + entry.name), "lies beside the classes' folders, in none of them"))
        elif not _is_text(entry.name):
            raise ValueError(
                f"{where}: the folder {_shown(inside + entry.name)!r} has a name that is not valid UTF-8; rename it"
            )
        else:
            folders.append(inside + entry.name)
    if not folders:
        raise ValueError(
            f"{where}: {inside or 'it'} holds no folders; put the pictures of each class in a folder of its own"
        )
    return folders


def _files_below(where: str, top: Path, folder: str, skipped: list[tuple[str, str]]) -> Iterator[str]:
    """Give every file at any depth of a class's folder, each real folder once."""
    waiting, seen = [folder], set()
    while waiting:
        inside = waiting.pop()
        try:
            status = (top / inside).stat()
            entries = _entries(top / inside)
        except OSError as error:
            if inside == folder:
                raise ValueError(f"{where}: {inside}/ can't be read: {error.strerror}; allow it") from error
            skipped.append((f"{inside}/", f"can't be read: {error.strerror}"))
            continue
        if status.st_ino and (status.st_dev, status.st_ino) in seen:
            skipped.append((f"{inside}/", "a link to a folder that is read already"))
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            name = f"{inside}/{entry.name}"
            if not _is_text(entry.name):
                skipped.append((_shown(name), "its name is not valid UTF-8; rename it"))
            elif _is_folder(entry):
                waiting.append(name)
            else:
                yield name


Header = tuple[int, int, bool]


def _headers(
    top: Path,
    listed: Sequence[str],
    skipped: list[tuple[str, str]],
    workers: int,
    progress: Progress | None,
) -> tuple[list[str], list[Header]]:
    """Read the header of every file, in threads; return the pictures and what their headers say."""
    files: list[str] = []
    headers: list[Header] = []
    done = 0
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="deepconv-scan")
    chunks = [listed[start : start + _CHUNK] for start in range(0, len(listed), _CHUNK)]
    try:
        for chunk, found in zip(chunks, pool.map(lambda names: _measured(top, names), chunks), strict=True):
            for name, header in zip(chunk, found, strict=True):
                if isinstance(header, str):
                    skipped.append((name, header))
                else:
                    files.append(name)
                    headers.append(header)
            done += len(chunk)
            if progress is not None:
                progress(done, len(listed))
    finally:  # also when interrupted: nothing more is begun
        pool.shutdown(cancel_futures=True)
    return files, headers


def _measured(top: Path, names: Iterable[str]) -> list[Header | str]:
    """Return for each file what its header says, or why it is no picture."""
    return [_measure(top / name) for name in names]


def _measure(path: Path) -> Header | str:
    from deepconv.data.pictures import measure_picture

    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for a writer for ever
            return "not a plain file"
        return measure_picture(path) if status.st_size else "empty: zero bytes"
    except (OSError, ValueError) as error:
        return failure(error, path)


def _name_empty_folders(folders: Sequence[str], files: Sequence[str], skipped: list[tuple[str, str]]) -> None:
    depth = folders[0].count("/") + 1
    full = {"/".join(name.split("/")[:depth]) for name in files}
    skipped += [(f"{folder}/", "holds no picture") for folder in folders if folder not in full]


def _passed_over(skipped: Sequence[tuple[str, str]]) -> str:
    name, reason = skipped[0]
    rest = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f"{name!r}{rest} can't be used ({reason})"


def _some(names: Sequence[str]) -> str:
    """Return the first few names, and how many there are besides."""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{list(names[:_SHOWN])}{rest}"


def _classes(
    where: str, found: set[str], skipped: Sequence[tuple[str, str]], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the classes' names in the order of their labels."""
    if not found:
        raise ValueError(f"{where} has no pictures: {_passed_over(skipped)}; give PNG, JPEG or the like")
    if wanted is not None:
        unknown = sorted(found - set(wanted))
        if unknown:
            raise ValueError(
                f"{where} has classes {_some(unknown)} that are not among {_some(wanted)}; rename them"
            )
        return tuple(wanted)
    if len(found) == 1:
        raise ValueError(
            f"{where} has one class alone, {next(iter(found))!r}; to tell things apart it takes two folders with "
            f"pictures or more"
        )
    return tuple(sorted(found))


def _ready_split(
    where: str, tops: Sequence[str], labels: Array, classes: Sequence[str], wanted: Any
) -> dict[str, Array]:
    """Return the rows of each part, having seen that all parts have the same classes."""
    names = np.array([_PARTS[top.casefold()] for top in tops])
    parts = {name: np.flatnonzero(names == name) for name in ("train", "validation", "test")}
    parts = {name: rows for name, rows in parts.items() if len(rows) or name == "train"}
    for name, rows in parts.items() if wanted is None else ():
        lacking = np.setdiff1d(np.arange(len(classes)), labels[rows])
        if len(lacking):
            raise ValueError(
                f"{where}: the ready split's {name} part has no pictures of "
                f"{[classes[label] for label in lacking[:_SHOWN]]}, which another part has; give every part "
                f"the same classes"
            )
    return parts
