"""The job that the benchmarks' worker runs."""

from after import job


@job
async def nothing() -> None:
    """Do nothing, which leaves the cost of everything else."""
