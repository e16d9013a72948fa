"""Tests of sensors, in the ring `unit`."""
