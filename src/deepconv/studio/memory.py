"""What all open pages together may keep in memory: sixty-four pictures of forty megapixels would be many gigabytes."""

from __future__ import annotations

import threading

__all__ = ["MOST_KEPT", "Memory"]

MOST_KEPT = 2**30
"""Bytes of pictures, models and waiting uploads, of all pages together."""


class Memory:
    """An account of what pages keep.

    Args:
        most: bytes for all of them together.

    Example:
        >>> memory, page = Memory(100), object()
        >>> memory.enter(page)
        >>> memory.keep(page, "picture", 80)
        >>> memory.keep(page, "picture", 60)  # in place of the other
        >>> memory.keep(page, "model", 50)
        Traceback (most recent call last):
        ValueError: the studio's open pages keep 0 MB together, and may keep 0 MB; close a page or use a smaller file
        >>> memory.leave(page)
        >>> memory.kept
        0
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._lock = most, threading.Lock()
        self._pages: dict[int, dict[str, int]] = {}

    @property
    def kept(self) -> int:
        """Bytes that all pages keep now."""
        return sum(sum(parts.values()) for parts in list(self._pages.values()))

    def enter(self, page: object) -> None:
        """Begin a page's account.

        Args:
            page: any object of its own.
        """
        self._pages[id(page)] = {}

    def leave(self, page: object) -> None:
        """End a page's account; what it kept is free.

        Args:
            page: as it entered.
        """
        with self._lock:
            self._pages.pop(id(page), None)

    def keep(self, page: object, name: str, size: int) -> None:
        """Note what a page keeps under a name, in place of what it kept under it.

        Args:
            page: as it entered.
            name: such as "picture".
            size: bytes; 0 for nothing more.

        Raises:
            ValueError: all together would keep too much, or the page has gone.
        """
        with self._lock:
            parts = self._pages.get(id(page))
            if parts is None:
                raise ValueError("the page has gone")
            if size > parts.get(name, 0) and self.kept - parts.get(name, 0) + size > self._most:
                raise ValueError(
                    f"the studio's open pages keep {self.kept >> 20} MB together, and may keep "
                    f"{self._most >> 20} MB; close a page or use a smaller file"
                )
            parts[name] = size
