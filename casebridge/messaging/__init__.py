"""MeldingQ: one durable inbox with one document for each message. It alone decides about retries.

A message says that something is to be done for a case. A flow says how, step by step. The steps themselves belong to the
capabilities. This package knows no exam, no institution's rules and no outside system.
"""
