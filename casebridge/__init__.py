"""The engine of casebridge: plain Python without Dagster and without HTTP.

It has the parts that would stay the same if every outside system were replaced: cases, the queue, the steps of a flow, the audit.
The clients of outside systems are in `resources`. The operators' view is in `assets`, `sensors` and `orchestration`.
"""
