"""The shared vocabulary of exams: keys, FS's rows, identity, deadlines, and the interfaces of FS and the exam systems.

`explanations` has the cases of grade explanations (begrunnelser) and their flows. Appeals will get a package of their own.
`messaging` stores and retries messages, and `resources` calls the outside systems.
"""
