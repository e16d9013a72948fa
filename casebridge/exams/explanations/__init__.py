"""Grade explanations (begrunnelse): from FS to the assessor, and the answer back."""
