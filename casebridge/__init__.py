"""The engine of casebridge: plain Python that knows no Dagster and no HTTP.

Here belongs what would stay true if every outside system were replaced: cases, the queue, the steps of a flow, the audit.
Clients of outside systems are in `resources`, the operators' face in `assets`, `sensors` and `orchestration`.
"""
