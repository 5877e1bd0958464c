"""Benchmarks: what DESIGN's budgets are measured with. Run `python -m tests.benchmarks`."""
