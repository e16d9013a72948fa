"""How new work is read: polls with their watermarks, records of Kafka, and probes of credentials."""
