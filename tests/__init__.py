"""The tests of casebridge, ring by ring; ``pyproject.toml`` tells what each ring is."""
