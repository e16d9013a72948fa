"""Metrics and traces of one process by OpenTelemetry (docs/observability.md). It is imported only where it is switched on."""
