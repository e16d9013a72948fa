"""Texts of the outside as people read them, whatever HTML they came as."""
