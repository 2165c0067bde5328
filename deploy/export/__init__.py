"""Recorded runs as files that others open: HDF5, Parquet, .mat. The table of formats; nothing here imports their packages."""

FORMATS = ("h5", "parquet", "mat")


class ExportError(Exception):
    """A run cannot be exported as wished; the text says why. No file is left behind."""
