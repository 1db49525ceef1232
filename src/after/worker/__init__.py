"""A worker process: finds tasks of its name, claims them, runs them at their date, and records what became of them."""

from after.worker.worker import Worker

__all__ = ["Worker"]
