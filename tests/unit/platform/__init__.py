"""Tests of platform, in the ring `unit`."""
