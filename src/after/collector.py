"""Python's garbage collector in processes that do nothing but move documents."""

from __future__ import annotations

import gc


def calm() -> None:
    """Let it look less often, from now on: documents are no cycles, and looking at them doubles what they cost.

    A look at 100,000 young objects takes 50 ms and more, for which every task that is due has to wait; at 10,000 of
    them, ten times as often, 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 200, 100)
