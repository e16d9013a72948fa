"""Tests of kafka, in the ring `contract`."""
