"""Tests of orchestration, in the ring `integration`."""
