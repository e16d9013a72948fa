"""Tests of cases, in the ring `unit`."""
