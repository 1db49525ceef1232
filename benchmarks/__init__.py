"""How fast After is, measured on real processes: `python -m benchmarks [SCENARIO …]`."""
