"""HTTP servers that simulate the systems which casebridge cannot reach from a developer's machine.

This package has:

- FS-Digex, WISEflow, LaaS and Slack, as their contracts describe them,
- a control interface, which fills them with cases and makes them fail on demand (``README.md``),
- what a test needs to start the process.

It imports nothing of casebridge; import-linter checks that. The simulators are written from the contract alone, so that a
misreading in a client cannot hide in its simulator.
"""
