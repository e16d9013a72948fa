"""Tests of queue, in the ring `contract`."""
