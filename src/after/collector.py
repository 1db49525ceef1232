"""Python's garbage collector in processes that do nothing but move documents."""

from __future__ import annotations

import gc


def calm(young: int) -> None:
    """Let it look less often, from now on: documents are no cycles, and looking at them doubles what they cost.

    It looks at the youngest objects when there are `young` of them. Everything waits for that: at 100,000 some 50 ms,
    which is least work in all; at 1,000, among tasks with long histories, some 5 ms and about ten times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 2_000_000 // young, 100)
