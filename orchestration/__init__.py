"""Puts assets, checks, sensors, jobs and schedules together into the definitions that Dagster loads, and chooses its storage."""
