"""The client of the document protocol, which both engines speak: documents, bulk writes, views, the changes feed."""

from after.database.database import Database
from after.database.feed import Change

__all__ = ["Change", "Database"]
