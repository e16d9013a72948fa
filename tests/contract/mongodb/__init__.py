"""Tests of mongodb, in the ring `contract`."""
