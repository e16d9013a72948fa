"""Tests of soak, in the ring `unit`."""
