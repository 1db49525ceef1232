"""Tasks that wait for each other in a circle, none of which could ever run. Pure: who is asked is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

Lookup = Callable[[Iterable[str]], Mapping[str, Sequence[str]]]
"""Gives what those of some tasks wait for that are blocked, by their ids; the others are left out."""

MAX_STEPS = 10_000
"""How many ids are followed before the search gives up: what it did not find, a worker will report."""


def cycle(identity: str, after: Iterable[str], lookup: Lookup) -> list[str] | None:
    """Give a shortest circle of tasks that is closed where the task `identity` waits for the tasks `after`.

    Each task of it waits for the one behind it, the last for the first, which is `identity`. None where there is no
    circle, or it was not found within MAX_STEPS. Breadth-first, with one lookup for each level. A task that nobody
    waits for is in no circle: who can find that out at less cost need not ask here.
    """
    before: dict[str, str] = {}
    level = list(dict.fromkeys(after))
    if identity in level:
        return [identity]
    before.update(dict.fromkeys(level, identity))
    steps = len(level)
    while level:
        found = lookup(level)
        following: list[str] = []
        for one in level:
            awaited = found.get(one, ())
            if identity in awaited:
                return _path(identity, one, before)
            steps += len(awaited)
            for further in awaited:
                if further not in before:
                    before[further] = one
                    following.append(further)
        if steps > MAX_STEPS:
            return None
        level = following
    return None


def _path(identity: str, last: str, before: Mapping[str, str]) -> list[str]:
    path = [last]
    while path[-1] != identity:
        path.append(before[path[-1]])
    return path[::-1]


def told(circle: Sequence[str]) -> str:
    """Say of a circle what is wrong with it."""
    if len(circle) == 1:
        return "a task cannot wait for itself"
    first, *others = (f"{identity!r:.80}" for identity in (*circle, circle[0]))
    return f"{first} waits for {', which waits for '.join(others)}"
