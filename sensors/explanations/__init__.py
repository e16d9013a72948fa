"""Sensors of grade explanations: polls of FS and of the exam system."""
