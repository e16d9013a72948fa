"""The systems that casebridge cannot reach from a developer's machine, as faithful HTTP servers.

What belongs here: FS-Digex, WISEflow, LaaS and Slack as their contracts describe them, a control interface that
fills them with cases and makes them fail on demand, and what a test needs to start the process.

What does not: anything of casebridge's own. The simulators are written from the contract alone, so that a misreading
in a client cannot hide in its simulator; import-linter keeps it so. ``README.md`` has the control interface.
"""
