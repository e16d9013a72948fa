"""Sensors of Dagster. Some poll outside systems and put what they find into the inbox. Others start batches or send alerts.

A sensor is a thin layer around functions that know nothing of Dagster and are tested alone. It only adds to the inbox. The inbox
decides what is known already; the cursor is only a hint. Assets and sensors do not import each other: functions make the
sensors and get assets and jobs as arguments (`orchestration.build`).
"""
