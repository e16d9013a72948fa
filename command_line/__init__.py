"""The command `casebridge`: one file a command. What a command does belongs to the engine; here is how it is asked and shown."""
