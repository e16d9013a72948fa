"""What is stored of a message, and who holds it."""
