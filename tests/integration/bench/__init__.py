"""Tests of bench, in the ring `integration`."""
