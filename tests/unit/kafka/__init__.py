"""Tests of kafka, in the ring `unit`."""
