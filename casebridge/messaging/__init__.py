"""MeldingQ: one durable inbox, one document a message, one owner of its retries.

A message says that something is to be done for a case; a flow says how, step by step. What the steps do belongs to `exams`
(and later `cases` and `archive`); this package knows no exam, no institution's rules and no outside system.
"""
