"""The embedded engine: CouchDB's document protocol and After's REST interface over one SQLite file."""
