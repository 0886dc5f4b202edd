"""How artefacts are asked for."""

import pytest

from coiled_runtime_cli.core.artifacts import Artifacts, parse_profile, wanted


def test_a_profiler_looks_everywhere_unless_it_is_told_where():
    assert parse_profile("memray") == ("memray", "all")
    assert parse_profile("py-spy:workers") == ("py-spy", "workers")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memary", "unknown profiler 'memary': did you mean 'memray'?"),
        ("memray:", "unknown place of memray ''"),
        ("py-spy:worker", "did you mean 'workers'?"),
        ("", "unknown profiler ''"),
    ],
)
def test_what_is_no_profiler_names_the_nearest(text, words):
    with pytest.raises(ValueError, match="unknown") as caught:
        parse_profile(text)
    assert words in str(caught.value)


def test_one_tool_at_two_places_is_asked_for_at_both():
    found = wanted(
        performance_report=False, profiles=["memray:scheduler", "memray:workers", "py-spy:workers"], cluster_dump=None
    )
    assert (found.memray, found.py_spy) == ("all", "workers")
    assert found.pytest_arguments() == ("--memray=all", "--py-spy=workers")
    assert [name for _, name in found.needs()] == ["memray", "py-spy"]


def test_nothing_asked_for_is_false_and_a_dump_alone_slows_nothing():
    assert not Artifacts()
    assert Artifacts().pytest_arguments() == ()
    dump = Artifacts(cluster_dump="fail")
    assert dump
    assert not dump.profiles
    assert dump.needs() == ()
    assert Artifacts(performance_report=True).profiles
