"""Tests of exams, in the ring `contract`."""
