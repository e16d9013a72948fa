"""Tests of cases, in the ring `contract`."""
