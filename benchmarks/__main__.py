"""Run scenarios, all of them without arguments, and print a line for each figure."""

from __future__ import annotations

import sys

from benchmarks import couchdb, lateness, limit, million, outage, posting, repeats, scheduler, throughput, year

SCENARIOS = {
    "limit": limit.main,
    "posting": posting.main,
    "throughput": throughput.main,
    "lateness": lateness.main,
    "scheduler": scheduler.main,
    "million": million.main,
    "repeats": repeats.main,
    "year": year.main,
    "couchdb": couchdb.main,
    "outage": outage.main,
}


def main() -> None:
    """Run what is named."""
    for name in sys.argv[1:] or SCENARIOS:
        print(f"-- {name}", flush=True)
        SCENARIOS[name]()


if __name__ == "__main__":
    main()
