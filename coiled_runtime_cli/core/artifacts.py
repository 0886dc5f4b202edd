"""What may be kept of a run beside its numbers, how it is asked for, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass

from coiled_runtime_cli.core.nearest import unknown

TOOLS = ("memray", "py-spy")
PLACES = ("scheduler", "workers", "all")
DUMPS = ("always", "fail")

#: What installs every library that an artefact needs.
EXTRA = 'pip install "coiled-runtime-cli[profile]"'

#: The columns of a run that say where its artefacts are.
COLUMNS = ("performance_report_url", "cluster_dump_url", "memray_profiles_url", "py_spy_profiles_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """The artefacts that a session keeps. ``memray`` and ``py_spy`` are one of PLACES, ``cluster_dump`` one of DUMPS."""

    performance_report: bool = False
    memray: str | None = None
    py_spy: str | None = None
    cluster_dump: str | None = None

    def __bool__(self) -> bool:
        return self.profiles or self.cluster_dump is not None

    @property
    def profiles(self) -> bool:
        """Whether runs are slowed down. A dump is not: it is taken when the clock has stopped."""
        return self.performance_report or self.memray is not None or self.py_spy is not None

    def pytest_arguments(self) -> tuple[str, ...]:
        """The same, as the plugin's options."""
        found = ["--performance-report"] if self.performance_report else []
        given = (("--memray", self.memray), ("--py-spy", self.py_spy), ("--cluster-dump", self.cluster_dump))
        return (*found, *(f"{option}={value}" for option, value in given if value is not None))

    def needs(self) -> tuple[tuple[str, str], ...]:
        """(flag, what it needs): ``bokeh`` and ``memray`` are modules, ``py-spy`` is a program."""
        return tuple(
            (flag, name)
            for wanted, flag, name in (
                (self.performance_report, "--performance-report", "bokeh"),
                (self.memray is not None, "--profile memray", "memray"),
                (self.py_spy is not None, "--profile py-spy", "py-spy"),
            )
            if wanted
        )

    def words(self) -> tuple[str, ...]:
        """Each artefact as text for people."""
        found = ["performance report"] if self.performance_report else []
        for tool, where in (("memray", self.memray), ("py-spy", self.py_spy)):
            if where is not None:
                found.append(f"{tool} of {'scheduler and workers' if where == 'all' else f'the {where}'}")
        if self.cluster_dump is not None:
            found.append("cluster dump" if self.cluster_dump == "always" else "cluster dump of what fails")
        return tuple(found)


def parse_profile(text: str) -> tuple[str, str]:
    """Read ``memray`` or ``py-spy:workers``: the tool, and where; everywhere if it is not said.

    Raises ValueError on anything else.
    """
    tool, colon, where = text.partition(":")
    if tool not in TOOLS:
        raise ValueError(unknown("profiler", tool, TOOLS))
    if not colon:
        return tool, "all"
    if where not in PLACES:
        raise ValueError(unknown(f"place of {tool}", where, PLACES))
    return tool, where


def wanted(*, performance_report: bool, profiles: list[str], cluster_dump: str | None) -> Artifacts:
    """What the flags of a command ask for. One tool asked for at two places is asked for at both. Raises ValueError."""
    where: dict[str, str] = {}
    for each in profiles:
        tool, place = parse_profile(each)
        where[tool] = place if where.get(tool, place) == place else "all"
    return Artifacts(
        performance_report=performance_report,
        memray=where.get("memray"),
        py_spy=where.get("py-spy"),
        cluster_dump=cluster_dump,
    )
