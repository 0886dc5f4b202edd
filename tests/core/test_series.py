from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.series import Alias, SeriesKey, current_ids, python_minor, series_key, short_name


def _key(**changes: str | int | None) -> SeriesKey:
    fields = {
        "benchmark": "a.py::test",
        "epoch": 1,
        "label": "local",
        "scale": "laptop",
        "cluster": "c0ffee",
        "cluster_kind": "local",
        "python": "3.11.7.final.0",
        "host": "h1",
    }
    return series_key(**{**fields, **changes})  # type: ignore[arg-type]


def test_runs_on_a_local_cluster_compare_on_one_host_only() -> None:
    assert _key(host="h2") != _key()


def test_runs_without_a_cluster_compare_on_one_host_only() -> None:
    assert _key(cluster=None, cluster_kind=None, host="h2") != _key(cluster=None, cluster_kind=None)


def test_runs_on_a_remote_cluster_compare_whoever_started_them() -> None:
    assert _key(cluster_kind="coiled", host="h2") == _key(cluster_kind="coiled")


def test_a_python_patch_release_keeps_the_series_and_a_minor_one_leaves_it() -> None:
    assert _key(python="3.11.9.final.0") == _key()
    assert _key(python="3.12.1.final.0") != _key()
    assert python_minor(None) is None
    assert python_minor("3.13") == "3.13"


def test_every_other_part_separates_series() -> None:
    for change in ({"benchmark": "b"}, {"epoch": 2}, {"label": "upstream"}, {"scale": "full"}, {"cluster": "d"}):
        assert _key(**change) != _key()


def test_a_chain_of_renames_leads_to_its_end() -> None:
    assert current_ids([Alias("a", "b", 1), Alias("b", "c", 2)]) == {"a": "c", "b": "c"}


def test_a_rename_that_was_taken_back_leads_to_the_old_name_again() -> None:
    assert current_ids([Alias("a", "b", 1), Alias("b", "a", 2)]) == {"b": "a"}


def test_of_two_heirs_the_one_declared_last_holds() -> None:
    assert current_ids([Alias("a", "b", 2), Alias("a", "c", 1)]) == {"a": "b"}


_names = st.sampled_from("abcde")
_aliases = st.lists(st.builds(Alias, _names, _names, st.integers(0, 5).map(float)))


@given(_aliases, st.randoms(use_true_random=False))
def test_any_declarations_resolve_to_current_names_in_any_order(aliases: list[Alias], random: object) -> None:
    resolved = current_ids(aliases)
    assert not set(resolved) & set(resolved.values())
    assert set(resolved) <= {alias.former for alias in aliases}
    shuffled = list(aliases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert current_ids(shuffled) == resolved


def test_the_short_name_of_a_benchmark_is_what_follows_its_file() -> None:
    assert short_name("benchmarks/test_array.py::TestSum::test_sum[a::b]") == "TestSum::test_sum[a::b]"
    assert short_name("imported") == "imported"
