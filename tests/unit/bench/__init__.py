"""Tests of bench, in the ring `unit`."""
