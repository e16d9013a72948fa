"""Tests of fs, in the ring `unit`."""
