"""Tests of operators, in the ring `integration`."""
