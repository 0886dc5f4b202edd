"""Charts as Plotly figure dicts: pure functions from values, compared in tests as values.

An array may be a reference to a column of a data file, ``{"ref": [file, series, kind, column]}``, or to one that the browser
computes, ``{"computed": name}``. Colours are names of the palette, ``series-0`` or ``regression/0.2`` (with an alpha), so that
each theme can have its own.
"""
