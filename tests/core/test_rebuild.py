import pytest

from coiled_runtime_cli.core.rebuild import RebuildError, requirements
from coiled_runtime_cli.core.record import Package


def test_an_environment_becomes_exact_requirements():
    packages = [
        Package(name="dask", version="2026.8.0"),
        Package(name="dask", version="2026.8.0", imported=True),  # watched: recorded as imported too
        Package(
            name="Distributed", version="1", url="https://github.com/dask/distributed", commit="ab" * 20, dirty=False
        ),
        Package(name="zict", url="git+https://github.com/dask/zict", commit="cd" * 20),
        Package(name="wheelhouse", version="1", url="https://example.org/wheelhouse-1-py3-none-any.whl"),
        Package(name="pip", version="26.0"),
        Package(name="coiled_runtime_cli", version="0.1.0", url="file:///work", dirty=True),
    ]
    assert requirements(packages) == (
        "dask==2026.8.0",
        f"distributed @ git+https://github.com/dask/distributed@{'ab' * 20}",
        f"zict @ git+https://github.com/dask/zict@{'cd' * 20}",
        "wheelhouse @ https://example.org/wheelhouse-1-py3-none-any.whl",
    )


@pytest.mark.parametrize(
    ("package", "told"),
    [
        (Package(name="dask", version="1", commit="ab" * 20, url="x", dirty=True), "not committed"),
        (Package(name="mine", imported=True, url="/home/me/mine"), "imported from /home/me/mine"),
        (Package(name="mine", version="1", url="file:///home/me/mine"), "installed from file:///home/me/mine"),
        (Package(name="mine"), "no version"),
    ],
)
def test_what_nobody_can_install_again_is_named(package, told):
    with pytest.raises(RebuildError, match=told):
        requirements([Package(name="dask", version="1"), package])
