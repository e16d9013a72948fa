"""The command `casebridge`, with one file for each command. A file reads options and shows results; the engine does the work."""
