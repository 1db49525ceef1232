"""After: schedule your tasks over HTTP."""
