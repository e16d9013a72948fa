"""How work is read: polls with their watermarks, and records of Kafka."""
