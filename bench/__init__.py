"""`make bench`: what casebridge costs and how fast it is, each figure beside a peer's or a bound's of the same run.

The rows are one module each; `docs/benchmarks.md` tells how to read them. Nothing here is part of an installation.
"""
