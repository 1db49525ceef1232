"""What was due between two instants and what became of it, told by the histories of tasks. Pure."""

from after.audit.audit import TOLERANCE, audit, has_moved, needs_older
from after.audit.row import OUTCOMES, Row, Summary

__all__ = ["OUTCOMES", "TOLERANCE", "Row", "Summary", "audit", "has_moved", "needs_older"]
