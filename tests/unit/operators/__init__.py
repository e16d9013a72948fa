"""Tests of operators, in the ring `unit`."""
