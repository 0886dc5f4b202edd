"""crt: the performance laboratory of a Dask distribution."""

__version__ = "0.1.0"
