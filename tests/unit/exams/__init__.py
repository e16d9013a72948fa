"""Tests of exams, in the ring `unit`."""
