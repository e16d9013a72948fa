"""Puts assets, checks, sensors, jobs and schedules together into what Dagster loads (`definitions`), and chooses its storage."""
