"""Tests of institutions, in the ring `integration`."""
