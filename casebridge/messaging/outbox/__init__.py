"""What is owed to the outside: written with a change of state, delivered afterwards."""
