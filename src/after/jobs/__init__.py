"""Jobs: the code that tasks name, how it is found, and how it is run."""

from after.jobs.context import TaskContext
from after.jobs.job import Job, job
from after.jobs.registry import Registry

__all__ = ["Job", "Registry", "TaskContext", "job"]
