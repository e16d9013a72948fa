"""Metrics and traces of one process by OpenTelemetry (docs/observability.md). It is imported where it is switched on only."""
