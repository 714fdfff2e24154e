"""How fast bundles are on this machine. ``python -m benchmarks.run``; no number here stands for a phone."""
