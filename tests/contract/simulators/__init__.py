"""Tests of simulators, in the ring `contract`."""
