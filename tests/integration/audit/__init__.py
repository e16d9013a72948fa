"""Tests of audit, in the ring `integration`."""
