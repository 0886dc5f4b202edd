"""A recipe of a metapackage that the channel of the tests can serve."""

from channels import HERE

RECIPE = """\
{{% set version = "1.0.0" + environ.get("VERSION_SUFFIX", "") %}}
{{% set dask_version = environ.get("DASK_VERSION", "2026.8.0") %}}

package:
  name: coiled-runtime
  version: {{{{ version }}}}

build:
  number: 0
  noarch: python

requirements:
  run:
    - python {python}
    - dask =={{{{ dask_version }}}}
    - distributed ==2026.8.0
    - openssl >3.0  # any of them

test:
  imports:
    - dask
    - distributed

about:
  license: BSD-3-Clause
"""


def put_recipe(crt, python=f"={HERE}", **changes):
    text = RECIPE.format(python=python)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    folder = crt.folder / "recipe"
    folder.mkdir(exist_ok=True)
    (folder / "meta.yaml").write_text(text)
    return folder
