"""Tests of sources, in the ring `integration`."""
