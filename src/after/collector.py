"""Python's garbage collector in processes that do nothing but move documents."""

from __future__ import annotations

import gc


def calm() -> None:
    """Let it look less often, from now on: documents are no cycles, and looking at them doubles what they cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
