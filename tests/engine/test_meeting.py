"""How threads meet, in every order that their steps can come in: `serve` and `lead` as they are written, step by step.

A lost wake-up needs one thread between two instructions of another, which a test that runs them seldom sees. So the
functions of `kernels/meeting.py` become generators here that stop before each step which others can see, and
all states that a leader and its helpers can get into are visited.
"""

import ast
from pathlib import Path

import pytest

from deepconv.engine.kernels import meeting_places, team
from deepconv.engine.kernels.meeting_places import LINE, OWN, ROOM, WORDS

STEPS = {"look", "tell", "swap", "add", "call"}
ACQUIRE, RELEASE, KERNEL = -1, -2, -3
GIVEN_LOCK, END_LOCK = 1, 2


class Stepwise(ast.NodeTransformer):
    """Makes generators of functions: each step is yielded, and answered by who drives it."""

    def __init__(self, parts):
        self.parts = parts

    def visit_Call(self, node):
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name):
            return node
        if node.func.id in STEPS:
            return ast.Yield(ast.Tuple([ast.Constant(node.func.id), *node.args], ast.Load()))
        return ast.YieldFrom(node) if node.func.id in self.parts else node


def stepwise():
    """Return the functions of the file as generators, with plain Python in place of what is only machine code."""
    tree = ast.parse(Path(team.__file__).with_name("meeting.py").read_text(encoding="utf-8"))
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and {"part", "kernel"} & set(map(ast.unparse, node.decorator_list))
    ]
    names = {f.name for f in functions}
    for f in functions:
        f.decorator_list, f.returns = [], None
        for argument in f.args.args:
            argument.annotation = None
    body = [Stepwise(names).visit(f) for f in functions]
    space = {name: getattr(meeting_places, name) for name in vars(meeting_places) if name.isupper()}
    space |= {"breathe": lambda: None, "place_of": lambda p: p.place}
    exec(compile(ast.fix_missing_locations(ast.Module(body, [])), "meeting", "exec"), space)
    return space


class Numbers:
    """A pointer."""

    def __init__(self, memory, place):
        self.memory, self.place = memory, place

    def __getitem__(self, index):
        return self.memory[self.place + index]  # KeyError: memory that was given back

    def __setitem__(self, index, value):
        assert self.place + index in self.memory
        self.memory[self.place + index] = value


class World:
    """A leader that has some tables made, one after the other, by itself and helpers; each table is freed then."""

    def __init__(self, code, helpers, rounds, pieces, looks):
        self.memory, self.locks, self.made, self.taken = {}, {}, [], []
        code["pointer"] = lambda address, zero: Numbers(self.memory, address)
        code["shift"] = lambda p, count: Numbers(self.memory, p.place + count)
        self.code, self.rounds, self.pieces, self.looks = code, rounds, pieces, looks
        self.states = [10_000 * (1 + i) for i in range(helpers)]
        told = []
        for i, state in enumerate(self.states):
            self.put(state, [0] * (ROOM + WORDS))
            locks = [10 * (1 + i) + lock for lock in (GIVEN_LOCK, END_LOCK)]
            self.locks |= dict.fromkeys(locks, False)  # whether it is free
            told += [state, *locks, 100 * (2 + i)]
        self.told = told
        self.threads = [self.lead()]
        for i in range(helpers):
            self.threads.append(code["serve"](*told[4 * i : 4 * i + 3], ACQUIRE, RELEASE, 0))
        self.waits = [next(thread) for thread in self.threads]

    def put(self, place, words):
        self.memory |= {place + i: word for i, word in enumerate(words)}

    def lead(self):
        """Lead all rounds; a piece is one call, which is told its number and a place in its thread's memory."""
        count = 1 + len(self.states)
        for turn in range(self.rounds):
            first = 1000 * (1 + turn)
            table, part = [count] + [0] * (LINE - 1), 0
            for i in range(count):
                here = self.pieces[i]
                table += [0, part, here] + [0] * (LINE - 3)
                part += here
            begin = len(table) + part + 1
            table += [begin + 4 * j for j in range(part + 1)]
            for j in range(part):
                table += [KERNEL, 2, j, OWN + 7]
            self.put(first, table)
            self.put(500, [0] * WORDS)
            self.put(700, self.told)
            self.made, self.taken = [], [{} for _ in range(count)]
            yield from self.code["lead"](
                first, 100, 500, 700, len(self.states), self.looks, ACQUIRE, RELEASE, 0
            )
            assert sorted(self.made) == list(range(part))
            for i, parts in enumerate(self.taken):  # its own comes first, then the others'
                assert list(parts) == [first + LINE * (1 + (i + k) % count) for k in range(count)]
            for place in [p for p in self.memory if p < self.states[0]]:  # all that was its caller's
                del self.memory[place]
            for state in self.states:  # nobody is taken for asleep who is not
                assert self.memory[state + meeting_places.WAITING] == 0

    def ready(self):
        """Return who can take a step: all but those that have ended and those that sleep."""
        return [
            i
            for i, step in enumerate(self.waits)
            if step is not None and not (step[:2] == ("call", ACQUIRE) and not self.locks[step[2]])
        ]

    def step(self, i):
        """Let thread i take the step that it stands before, and go on to the next one."""
        name, *words = self.waits[i]
        answer = None
        if name != "call":
            p, index = words[:2]
            answer = p[index]
            if name != "look":
                p[index] = answer + words[2] if name == "add" else words[2]
            if name == "add":
                self.taken[i][p.place + index] = True
        elif words[0] == ACQUIRE:
            assert self.locks[words[1]]
            self.locks[words[1]] = False
        elif words[0] == RELEASE:
            assert not self.locks[words[1]], "a lock that is free was let go"
            self.locks[words[1]] = True
        else:
            piece, own = self.memory[words[1]], self.memory[words[1] + 1]
            assert own == 100 * (1 + i) + 7, "another thread's memory"
            self.made.append(piece)
        try:
            self.waits[i] = self.threads[i].send(answer)
        except StopIteration:
            self.waits[i] = None

    def key(self):
        """Return all that what comes next depends on."""
        frames = []
        for thread in self.threads:
            inner = thread
            while inner is not None:
                if inner.gi_frame is not None:
                    values = [v for v in inner.gi_frame.f_locals.values() if isinstance(v, int)]
                    places = [v.place for v in inner.gi_frame.f_locals.values() if isinstance(v, Numbers)]
                    frames.append((inner.gi_frame.f_lasti, *values, None, *places))
                inner = inner.gi_yieldfrom
            frames.append(())
        steps = [
            step and tuple(w.place if isinstance(w, Numbers) else w for w in step) for step in self.waits
        ]
        return hash(
            (
                tuple(frames),
                tuple(steps),
                *self.memory.items(),
                *self.locks.items(),
                *sorted(self.made),
                *map(len, self.taken),
            )
        )


@pytest.mark.parametrize(
    ("rounds", "pieces", "looks"),
    [(2, (0, 2), 1), (3, (0, 0), 0), pytest.param(1, (0, 0, 0), 0, marks=pytest.mark.full)],
)
def test_whatever_the_order_of_steps_all_is_made_once_and_nobody_sleeps_on(rounds, pieces, looks):
    code = stepwise()
    seen, paths, ends = set(), [()], 0
    while paths:
        path = paths.pop()
        world = World(code, len(pieces) - 1, rounds, pieces, looks)
        for i in path:
            world.step(i)
        while (key := world.key()) not in seen:
            seen.add(key)
            ready = world.ready()
            if not ready:
                assert world.waits[0] is None, "all sleep"
                assert all(step[:2] == ("call", ACQUIRE) for step in world.waits[1:])
                ends += 1
                break
            paths += [(*path, i) for i in ready[1:]]
            world.step(ready[0])
            path = (*path, ready[0])
    assert ends
