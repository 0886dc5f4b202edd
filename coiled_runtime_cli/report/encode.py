"""From arrays to the data files of the site: one JavaScript statement each, numbers as base64 of little-endian columns.

A page that is opened over ``file://`` may not fetch, but it may add a script; so a data file calls ``crt.data(name, value)``.
Base64 of 32-bit floats takes 5.3 bytes a value, needs no formatting here and no parsing there, and keeps 7 digits.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What the browser knows, by numpy's name.
_TYPES = {"float32": "f4", "float64": "f8", "uint8": "u1", "uint16": "u2", "uint32": "u4", "int32": "i4"}

#: A second that no run started in.
UNKNOWN = 2**32 - 1

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)


def column(array: NDArray[Any]) -> dict[str, Any]:
    """A typed array: ``{"t": type, "b": base64 as bytes}``, or ``{"t", "n", "v"}`` where all values are equal."""
    kind = _TYPES[array.dtype.name]
    if len(array) > 1 and array[0] == array[-1] and bool((array == array[0]).all()):
        return {"t": kind, "n": len(array), "v": array[0].item()}
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"t": kind, "b": base64.b64encode(little.tobytes())}


def codes(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Indexes below ``count``, or -1 for none, in the smallest type; none becomes its largest value."""
    kind: type[Any] = np.uint8 if count < 255 else np.uint16 if count < 65_535 else np.uint32
    return np.where(array < 0, np.iinfo(kind).max, array).astype(kind)


def values(array: NDArray[np.float64]) -> NDArray[Any]:
    """Measured values in 32 bits, in 64 where these would overflow or vanish."""
    size = np.abs(array[np.isfinite(array) & (array != 0)])
    if len(size) and (size.max() > _LARGEST or size.min() < _SMALLEST):
        return array.astype(np.float64, copy=False)
    return array.astype(np.float32)


def seconds(microseconds: NDArray[np.int64], missing: int) -> NDArray[np.uint32]:
    """Times for the browser: whole seconds since the epoch, the largest number where they are unknown."""
    return np.where(microseconds == missing, UNKNOWN, microseconds // 1_000_000).clip(0, UNKNOWN).astype(np.uint32)


def script_json(value: Any) -> str:
    """JSON that may stand within a script of a page: ASCII, keys sorted, no ``<``. Raises ValueError on NaN."""
    return b"".join(_json_parts(value)).decode("ascii")


def data_file(name: str, payload: Any) -> bytes:
    """The bytes of ``data/<name>.js``."""
    return b"".join([b"crt.data(", *_json_parts(name), b",", *_json_parts(payload), b");\n"])


def _json_parts(value: Any) -> list[bytes]:
    """JSON whose long strings, the base64 of columns, were never looked at: they need no escapes."""
    strings: list[bytes] = []
    mark = secrets.token_hex(12)  # no name or text of a history can have it

    def place(each: Any) -> str:
        if not isinstance(each, bytes):
            raise TypeError(f"{type(each).__name__} is no JSON")
        strings.append(each)
        return mark

    options: dict[str, Any] = {"ensure_ascii": True, "allow_nan": False, "separators": (",", ":"), "sort_keys": True}
    text = json.dumps(value, default=place, **options).replace("<", "\\u003c").encode("ascii")
    parts = text.split(mark.encode())
    return [each for pair in zip(parts, [*strings, b""], strict=True) for each in pair]
