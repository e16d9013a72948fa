"""Tests of http, in the ring `contract`."""
