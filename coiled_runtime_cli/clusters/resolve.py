"""From what a user chose to what is started: ``--cluster`` and the configuration become one :class:`ClusterSpec`."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.clusters import shapes as shape_files
from coiled_runtime_cli.clusters.machine import LEAST, Machine, size
from coiled_runtime_cli.clusters.spec import KINDS, SCALE, ClusterSpec, host_and_port, secret_key
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("tcp", "tls", "ucx", "ucxx", "ws", "wss")

_BUILT_IN = ("local", "coiled")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_NOTHING: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def resolve(
    choice: str,
    *,
    shape: str | None = None,
    shapes: Mapping[str, Mapping[str, Any]] = _NOTHING,
    definitions: Mapping[str, Mapping[str, Any]] = _NOTHING,
    override: Mapping[str, Mapping[str, Any]] = _NOTHING,
    software: str | None = None,
    parallel: int = 1,
    machine: Machine | None = None,
) -> ClusterSpec:
    """The cluster that ``choice`` means: local, coiled, an address, a name in ``definitions``, or a dotted class name.

    ``shape`` names one of ``shapes`` and counts for a Coiled cluster alone, as do ``override`` (of the same layout) and
    ``software`` (an environment instead of the packages that are installed here). A local cluster gets its part of the
    ``machine``, of which ``parallel`` clusters run at once. Raises UsageError, with the nearest name, for the unknown.
    """
    definition = _definition(choice, definitions)
    kind = str(definition.pop("kind"))
    class_path = definition.pop("class", None)
    if kind != "coiled" and override:
        raise UsageError(
            f"shapes can be overridden on Coiled clusters alone, and {choice!r} is {_described(kind)}",
            hint="--cluster coiled, or set the keywords in [clusters.NAME]",
        )
    if kind == "coiled":
        shape_files.refuse_reserved(f"clusters.{choice}", definition)
        merged = shape_files.merge(shape, shapes, override)
        chosen = {"software": software} if software else {}
        options = {**merged, **chosen, **_scaled(choice, definition)}
    elif kind == "local":
        shape_files.refuse_reserved(f"clusters.{choice}", definition)
        options = _local(_scaled(choice, definition), parallel=parallel, machine=machine)
    elif kind == "address":
        options = _address(choice, definition)
    else:
        options = definition
    _check_scale(choice, options.get(SCALE))
    return ClusterSpec(kind=kind, name=choice, options=options, class_path=class_path)


def _described(kind: str) -> str:
    return {"local": "a local cluster", "address": "a running scheduler", "class": "a cluster class"}[kind]


def _definition(choice: str, definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The table of a choice, with its kind, checked."""
    place = f"clusters.{choice}"
    if choice in definitions:
        table = dict(definitions[choice])
        implied = "class" if "class" in table else choice if choice in _BUILT_IN else None
        kind = table.setdefault("kind", implied)
        if kind is None:
            raise UsageError(
                f"{place}: says neither kind nor class",
                hint='write kind = "local", kind = "coiled", kind = "address", or class = "package.ClusterClass"',
            )
        if kind not in KINDS:
            raise UsageError(f"{place}: {unknown('kind', str(kind), KINDS)}")
        if choice in _BUILT_IN and kind != choice:
            raise UsageError(f"{place}: {choice} is always of kind {choice!r}", hint="give your cluster another name")
        _check_class(place, kind, table.get("class"))
    elif choice in _BUILT_IN:
        table = {"kind": choice}
    elif "://" in choice:
        table = {"kind": "address", "address": choice}
    elif _DOTTED.fullmatch(choice):
        table = {"kind": "class", "class": choice}
    else:
        raise UsageError(
            unknown("cluster", choice, [*_BUILT_IN, *definitions]),
            hint="local, coiled, an address (tcp://HOST:8786), a class (dask.distributed.SSHCluster), or a name that "
            "[clusters.NAME] of your configuration defines",
        )
    _check_values(place, table)
    return table


def _check_class(place: str, kind: str, dotted: object) -> None:
    if kind != "class":
        if dotted is not None:
            raise UsageError(f"{place}: class and kind = {kind!r} exclude each other", hint="remove one of them")
    elif not isinstance(dotted, str) or not _DOTTED.fullmatch(dotted):
        raise UsageError(
            f"{place}: class: expected a dotted name, not {dotted!r}", hint='as class = "dask_jobqueue.SLURMCluster"'
        )


def _check_values(place: str, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        _check_plain(f"{place}.{key}", value)
    if (secret := secret_key(table)) is not None:
        raise UsageError(
            f"{place}: {secret} looks like a secret, and keywords are stored with every run",
            hint="put it where the cluster's own library reads it, such as Dask's configuration, and remove it here",
        )
    if table.get("asynchronous"):
        raise UsageError(f"{place}: asynchronous clusters are not supported", hint="remove asynchronous")


def _check_plain(place: str, value: object) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{place}: a text, number, list or table is expected, not {value!r}") from error


def _scaled(choice: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Where ``n_workers`` exists, ``scale`` is another name for it."""
    options = dict(table)
    if SCALE in options:
        _check_scale(choice, options[SCALE])
        if "n_workers" in options:
            raise UsageError(f"clusters.{choice}: scale and n_workers mean the same", hint="remove one of them")
        options["n_workers"] = options.pop(SCALE)
    return options


def _check_scale(choice: str, value: object) -> None:
    if value is not None and not _is_count(value):
        raise UsageError(f"clusters.{choice}: scale: expected a number of workers from 1 on, not {value!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _local(table: Mapping[str, Any], *, parallel: int, machine: Machine | None) -> dict[str, Any]:
    for key in ("n_workers", "threads_per_worker"):
        if key in table and not _is_count(table[key]):
            raise UsageError(f"a local cluster: {key}: expected a number from 1 on, not {table[key]!r}")
    if {"n_workers", "threads_per_worker", "memory_limit"} <= set(table):
        return dict(table)
    chosen = size(
        machine or Machine.detect(),
        parallel=max(1, parallel),
        workers=table.get("n_workers"),
        threads=table.get("threads_per_worker"),
        least=0 if "memory_limit" in table else LEAST,
    )
    sized = {"n_workers": chosen.workers, "threads_per_worker": chosen.threads, "memory_limit": chosen.memory}
    return {**sized, **table}


def _address(choice: str, table: Mapping[str, Any]) -> dict[str, Any]:
    address = table.get("address")
    others = set(table) - {"address"}
    if others:
        raise UsageError(
            f"clusters.{choice}: a running cluster is only connected to: {unknown('keyword', min(others), ['address'])}"
        )
    if not isinstance(address, str):
        raise UsageError(f"clusters.{choice}: address: expected tcp://HOST:PORT, not {address!r}")
    scheme = address.partition("://")[0]
    if scheme not in SCHEMES:
        raise UsageError(f"{address}: {unknown('address scheme', scheme, SCHEMES)}", hint="as tcp://127.0.0.1:8786")
    try:
        host_and_port(address)
    except ValueError as error:
        raise UsageError(
            f"{address!r} is not the address of a scheduler", hint="SCHEME://HOST:PORT, as tcp://127.0.0.1:8786"
        ) from error
    return {"address": address.rstrip("/")}
