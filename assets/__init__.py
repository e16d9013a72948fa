"""Assets and asset checks: what operators see of casebridge in Dagster. Each file is named after what it shows.

Materialising an asset runs one batch of the engine and shows the result: counts, a small table, and how to recover. The engine
(`casebridge`) does the work and the counting; assets reach it through `resources.wiring.process_resource`. `sensors` shows how
work arrives, `orchestration` which jobs and schedules there are.
"""
