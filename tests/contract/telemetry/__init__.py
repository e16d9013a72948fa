"""Tests of telemetry, in the ring `contract`."""
