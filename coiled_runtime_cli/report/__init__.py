"""The history as a static site: core values in, a folder of pages out. Owns Plotly and Jinja; sees no database."""
