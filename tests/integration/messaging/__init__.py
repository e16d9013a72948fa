"""Tests of messaging, in the ring `integration`."""
