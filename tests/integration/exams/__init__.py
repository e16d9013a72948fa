"""Tests of exams, in the ring `integration`."""
