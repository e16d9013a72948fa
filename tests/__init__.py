"""The tests of casebridge, ring by ring; ``pyproject.toml`` says what each ring is."""
