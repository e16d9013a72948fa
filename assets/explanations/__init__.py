"""Assets of grade explanations: from FS's requests to the explanations that FS has."""
