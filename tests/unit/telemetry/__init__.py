"""Tests of telemetry, in the ring `unit`."""
