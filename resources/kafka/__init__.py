"""Kafka by kafka-python: topics, consumer, producer and lag. `resources.wiring.kafka` uses it only where Kafka is on.

Record readers in `casebridge.exams` say what records mean. `casebridge.sources.record_inbox` turns them into messages.
"""
