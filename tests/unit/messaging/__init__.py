"""Tests of messaging, in the ring `unit`."""
