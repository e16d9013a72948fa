"""Tests of wiseflow, in the ring `unit`."""
