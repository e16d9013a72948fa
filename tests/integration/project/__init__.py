"""Tests of soak, in the ring `integration`."""
