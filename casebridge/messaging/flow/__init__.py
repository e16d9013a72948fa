"""What a message goes through: steps, their results, and when a failed one is tried again."""
