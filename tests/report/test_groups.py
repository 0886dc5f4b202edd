"""How the runs of a history fall into runtimes."""

from coiled_runtime_cli.core.record import Cluster
from coiled_runtime_cli.report.groups import group
from coiled_runtime_cli.report.health import Health
from coiled_runtime_cli.report.views import MetricView

SKIPPED = {"outcome": "skipped", "setup_outcome": "skipped", "call_outcome": None, "failure": "Skipped: needs s3fs"}
ON = {"setup_outcome": "passed", "duration": 1.0}


def runtimes(story, tmp_path):
    """The text of each runtime, with the names of the tests that ran in it."""
    history = story.history(tmp_path / "benchmark.db")
    groups = group(history)
    found = {}
    for benchmark, runtime in zip(history.runs.benchmark, groups.runtime_of, strict=True):
        found.setdefault(groups.runtimes[runtime].text, set()).add(history.benchmarks[benchmark].name)
    return found


def clusters(story):
    two, four = (Cluster(kind="local", spec={"n_workers": number}) for number in (2, 4))
    story.lines += [two, four]
    return {**ON, "cluster": two.key, "cluster_name": "two"}, {**ON, "cluster": four.key, "cluster_name": "four"}


def test_what_was_skipped_before_it_asked_for_a_cluster_is_where_its_file_ran(new_story, tmp_path):
    story = new_story()
    two, four = clusters(story)
    story.session(
        0,
        {
            "test_read": two,
            "test_s3": SKIPPED,
            "test_a": {**four, "path": "benchmarks/test_array.py"},
            "test_b": {**four, "path": "benchmarks/test_array.py"},
            "test_c": {**SKIPPED, "path": "benchmarks/test_array.py"},
            "test_dist": {**ON, "path": "runtime/test_install.py"},
            "test_other": {**SKIPPED, "path": "runtime/test_install.py"},
            "test_alone": {**SKIPPED, "path": "benchmarks/test_zarr.py"},
        },
    )
    assert runtimes(story, tmp_path) == {
        "local · local cluster of 2": {"test_read", "test_s3"},
        "local · local cluster of 4": {"test_a", "test_b", "test_c", "test_alone"},
        "local · no cluster": {"test_dist", "test_other"},
    }


def test_what_failed_before_it_asked_for_a_cluster_is_counted_with_its_session_and_with_no_other(new_story, tmp_path):
    story = new_story()
    two, four = clusters(story)
    failed = {**SKIPPED, "outcome": "error", "setup_outcome": "failed"}
    story.session(0, {"test_read": four}, label="night")
    story.session(1, {"test_read": two, "test_s3": failed})
    story.session(2, {"test_s3": failed}, label="alone")
    assert runtimes(story, tmp_path) == {
        "night · local cluster of 4": {"test_read"},
        "local · local cluster of 2": {"test_read", "test_s3"},
        "alone · no cluster": {"test_s3"},
    }


def test_what_ended_before_its_cluster_stays_with_the_earlier_runs_of_its_test(new_story, tmp_path):
    story = new_story()
    two, four = clusters(story)
    failed = {**SKIPPED, "outcome": "error", "setup_outcome": "failed"}
    busy = {"test_read": two, "test_write": two, "test_wide": two}
    story.session(0, {**busy, "test_big": four, "test_plain": ON})
    both = {"test_big": failed, "test_plain": failed}
    story.session(1, {**busy, **both})
    story.session(2, {**busy, **both}, label="other")
    found = runtimes(story, tmp_path)
    assert found["local · local cluster of 4"] == {"test_big"}
    assert found["local · no cluster"] == {"test_plain"}
    assert found["local · local cluster of 2"] == {*busy}
    # elsewhere they have never run: there they are with their file
    assert found["other · local cluster of 2"] == {*busy, "test_big", "test_plain"}


def test_a_body_that_failed_without_a_cluster_stays_there(new_story, tmp_path):
    story = new_story()
    two, _ = clusters(story)
    body = {"setup_outcome": "passed", "outcome": "failed", "call_outcome": "failed", "failure": "AssertionError"}
    story.session(0, {"test_read": two, "test_version": body})
    assert runtimes(story, tmp_path) == {
        "local · local cluster of 2": {"test_read"},
        "local · no cluster": {"test_version"},
    }


def test_the_first_session_of_a_user_with_few_libraries_is_one_card(new_story, tmp_path):
    story = new_story()
    two, _ = clusters(story)
    story.session(0, {"test_read": two, "test_write": two, "test_s3": SKIPPED})
    history = story.history(tmp_path / "benchmark.db")
    groups = group(history)
    duration = MetricView(key="duration", label="Duration", unit="s", scale=1.0, better="lower")
    (card,) = Health(history, groups, duration, {}).views()
    assert (card.passed, card.runs, card.outcomes, card.missing) == (2, 3, (("skipped", 1),), ())
