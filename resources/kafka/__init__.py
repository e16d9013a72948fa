"""Kafka: topics, consumer, producer and lag, by kafka-python. Only `resources.wiring.process` decides whether any of it is used.

What records mean is in `casebridge.exams`; how they become messages is in `casebridge.sources.record_inbox`.
"""
