"""Tests of deploy, in the ring `contract`."""
