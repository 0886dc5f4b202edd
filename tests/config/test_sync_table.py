from __future__ import annotations

from typing import TYPE_CHECKING

from written import write

from coiled_runtime_cli import config

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_configured_of_a_bucket_is_not_meant_by_a_folder_whoever_names_it(
    tmp_path: Path, home: dict[str, str]
) -> None:
    write(tmp_path / "home/.config/crt/config.toml", '[sync]\nremote = "s3://b/p"\nprofile = "team"\nregion = "x"')
    bucket = config.remote(config.load(folder=tmp_path, environ=home))
    assert (bucket.remote, bucket.profile, bucket.region) == ("s3://b/p", "team", "x")
    other = config.remote(config.load(folder=tmp_path, environ={**home, "CRT_SYNC_REMOTE": "s3://c"}))
    assert (other.remote, other.profile) == ("s3://c", "team")
    from_variable = config.load(folder=tmp_path, environ={**home, "CRT_SYNC_REMOTE": "/mnt/team"})
    write(tmp_path / "crt.toml", '[sync]\nremote = "shared"')
    from_file = config.load(folder=tmp_path, environ=home)
    for settings_, folder in ((from_variable, "/mnt/team"), (from_file, str(tmp_path / "shared"))):
        found = config.remote(settings_)
        assert (found.remote, found.profile, found.region) == (folder, None, None)
        assert config.remote(settings_, profile="mine").profile == "mine"  # a flag, which the folder refuses
