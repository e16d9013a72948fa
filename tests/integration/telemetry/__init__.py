"""Tests of telemetry, in the ring `integration`."""
