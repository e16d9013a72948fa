"""`casebridge demo`: the whole platform on one machine, with simulated neighbours, watched in the terminal."""
