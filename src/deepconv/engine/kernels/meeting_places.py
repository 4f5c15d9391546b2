"""Where the numbers of a helper's state stand, in order; each that two threads write has a cache line of its own."""

LINE = 8
"""Numbers of a cache line."""

GIVEN = 0
"""How many times it was given something to do; its leader writes it."""

ASLEEP = LINE
"""Whether it sleeps, or is about to."""

DONE = 2 * LINE
"""How many times it was done; the helper writes it."""

WAITING = 3 * LINE
"""Whether its leader sleeps until then, or is about to."""

TABLE = 4 * LINE
"""The address of what there is to do."""

NUMBER = TABLE + 1
"""Which of the threads it is; the leader is number 0."""

BASE = TABLE + 2
"""The address of its memory."""

ROOM = 5 * LINE
"""The words of a call, and behind them nothing else."""

WORDS = 64
"""The most that a call may have."""

OWN = 1 << 62
"""What is added to a place in the memory of the thread that makes a call: no address is as large."""
