"""What casebridge keeps, as operators see it in Dagster: assets and asset checks, one noun a file.

Materialising an asset runs one batch of the engine and shows what it came to: counts, a small table, and how to recover. The
counting and the work are the engine's (`casebridge`), reached through `resources.wiring.process_resource`. How work arrives is in
`sensors`, which jobs and schedules there are in `orchestration`.
"""
