"""The metapackage: rendered from its recipe, built by one of two builders, opened, checked, solved, installed and imported."""
