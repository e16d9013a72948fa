"""Tests of wiring, in the ring `contract`."""
