"""Builds a process: clients, stores and capabilities."""
