"""The client of the document protocol, which both engines speak: documents, bulk writes, views, the changes feed."""

from after.database.database import Database
from after.database.feed import Change
from after.database.nodes import DEFAULT_URL, bare

__all__ = ["DEFAULT_URL", "Change", "Database", "bare"]
