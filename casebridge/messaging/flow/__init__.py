"""Flows: the steps of a message, their results, and when a failed message is tried again."""
