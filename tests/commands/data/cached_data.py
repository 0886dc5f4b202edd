"""Small data sets in a cache, and ways to damage them."""

from coiled_runtime_cli.core.scale import Scale

#: Small data sets of each format.
NAMES = ("citibike", "era5", "nyc_taxi")

SMOKE = Scale.parse("smoke")


def folder_of(cache, name):
    (found,) = cache.glob(f"{name}-*")
    return found


def stored_file(cache, name="nyc_taxi"):
    """A file of the data set."""
    return min(each for each in folder_of(cache, name).rglob("*") if each.is_file() and each.suffix != ".json")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def unfinished(cache):
    return [each.name for each in cache.iterdir() if ".partial-" in each.name or ".old-" in each.name]
