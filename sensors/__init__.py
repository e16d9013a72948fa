"""How work arrives: sensors that poll the outside into the inbox, and those that see to what nobody else drives.

A sensor is a thin shell around a core that knows no Dagster and is tested alone. It only feeds the inbox; the inbox is the
truth and the cursor a hint. Sensors are made by functions that are given the assets and jobs they speak of, since assets and
sensors do not know each other (`orchestration.build` wires them).
"""
