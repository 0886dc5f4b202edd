"""A cluster that runs: the one protocol that benchmarks see, whatever started it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from coiled_runtime_cli.clusters.spec import SCALE, ClusterSpec, host_and_port
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import CrtError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from distributed import Client
    from typing_extensions import Self

T = TypeVar("T")

#: How long a scheduler may take to answer (s).
ANSWER = 10.0

#: How long a cluster may take to stop (s).
CLOSE = 30.0

#: What the libraries raise when a cluster does not start, answer or stop. Before Python 3.11 asyncio has a
#: TimeoutError of its own.
CLUSTER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    asyncio.TimeoutError,
    asyncio.CancelledError,
)

_UNEXPECTED_KEYWORD = "unexpected keyword argument"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInfo:
    """Where to read more about a cluster. None: it has no such thing."""

    cluster_id: int | None = None  # Coiled's number
    details_url: str | None = None
    software: str | None = None  # Coiled's software environment


class RunningCluster(ABC):
    """A scheduler and its workers. As a context manager it closes at the end."""

    name: str
    spec: ClusterSpec
    address: str  # of the scheduler
    expected_workers: int | None  # None: as many as there are, at least one

    @abstractmethod
    def client(self) -> Client:
        """A new synchronous client, the default one until it is closed; the caller closes it.

        Raises RemoteError or ToolError when the scheduler does not answer.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop what was started, within bounded time. Closing twice, or a dead cluster, is no error."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether the scheduler answers, within seconds."""

    def info(self) -> ClusterInfo:
        return ClusterInfo()

    def wait(self, client: Client, timeout: float) -> None:
        """Bring the cluster to its expected size. Raises ToolError, saying how many came, after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        self._scale()
        enough = self.expected_workers or 1
        while True:
            left = deadline - time.monotonic()
            came = self._count_workers(client, max(left, 1.0))
            if came == enough or (came > enough and not self._shrinks()):
                return
            if left <= 0:
                raise ToolError(
                    f"cluster {self.name}: {came} of {enough} workers came within {timeout:g} s",
                    hint="see the logs of the workers, or ask for fewer",
                )
            time.sleep(min(0.05, left))

    def _scale(self) -> None:  # noqa: B027
        """Ask for the expected number of workers. Not abstract: a foreign cluster is left as it is."""

    def _shrinks(self) -> bool:
        """Whether more workers than expected are asked to go, and so are waited for."""
        return False

    def _count_workers(self, client: Client, timeout: float) -> int:
        try:
            return len(client.sync(client.scheduler.ncores, workers=None, callback_timeout=timeout))
        except (OSError, RuntimeError, asyncio.TimeoutError) as error:
            raise ToolError(f"cluster {self.name}: the scheduler at {self.address} stopped answering") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OwnedCluster(RunningCluster):
    """A cluster that crt started through an object with Dask's Cluster interface, and therefore stops."""

    def __init__(self, cluster: Any, spec: ClusterSpec, *, name: str, expected_workers: int | None) -> None:
        self.cluster = cluster
        self.name = name
        self.spec = spec
        self.address = str(cluster.scheduler_address)
        self.expected_workers = expected_workers
        self._closed = False

    def client(self) -> Client:
        from distributed import Client

        dead = f"cluster {self.name}: the scheduler at {self.address} does not answer"
        if not self.alive():
            raise ToolError(dead)
        try:
            return Client(self.cluster, timeout=ANSWER)
        except (OSError, RuntimeError, asyncio.TimeoutError) as error:
            raise ToolError(dead) from error

    def alive(self) -> bool:
        return not self._closed and self._answers()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # A cluster whose scheduler died complains about it while it closes; it is as gone as we wanted it.
        import dask

        # With its scheduler dead a cluster still wants to tell it so, for as long as a connection may take.
        hurry = {} if self._answers() else {"distributed.comm.timeouts.connect": "1s"}
        # Not every class takes a timeout, so this one is ours.
        with contextlib.suppress(*CLUSTER_ERRORS), dask.config.set(hurry):
            bounded(self.cluster.close, timeout=CLOSE)
        self._call_closed()

    def _call_closed(self) -> None:
        """One that could not tell its dead scheduler is closed all the same: or it complains wherever it is collected."""
        from distributed.core import Status

        if isinstance(getattr(self.cluster, "status", None), Status):
            with contextlib.suppress(AttributeError):
                self.cluster.status = Status.closed

    def _answers(self) -> bool:
        return answers(self.address, getattr(self.cluster, "security", None), timeout=ANSWER)

    def _scale(self) -> None:
        if self.expected_workers is None:
            return
        try:
            self.cluster.scale(self.expected_workers)
        except (AttributeError, NotImplementedError):
            return  # a cluster of fixed size
        except (OSError, RuntimeError, ValueError, asyncio.TimeoutError) as error:
            raise ToolError(f"cluster {self.name}: cannot scale to {self.expected_workers}: {cause(error)}") from error


def restart(client: Client, *, timeout: float) -> None:
    """Restart the workers. One that does not come back within ``timeout`` seconds is asked again, up to twice.

    Now and then a nanny misses that its worker was asked to restart (distributed#8534; seen with 2023.6 and 2026.8).
    Raises TimeoutError (asyncio's, where they differ).
    """
    for attempt in range(3):
        try:
            client.restart(timeout=timeout)
        except (TimeoutError, asyncio.TimeoutError):
            if attempt == 2:
                raise
        else:
            return


def bounded(action: Callable[[], T], *, timeout: float) -> T:
    """Do what may hang, in a thread that is given up after ``timeout`` seconds. Raises asyncio.TimeoutError then."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001  every one is raised again below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=work, name="crt-bounded", daemon=True)
    thread.start()
    thread.join(timeout)
    if errors:
        raise errors[0]
    if not results:
        raise asyncio.TimeoutError
    return results[0]


def answers(address: str, security: Any = None, *, timeout: float) -> bool:
    """Whether a scheduler at this address answers a question within ``timeout`` seconds."""
    if _refused(address):
        return False
    try:
        ask(address, security, timeout=timeout, op="ncores", workers=[])
    except (OSError, RuntimeError, TypeError, ValueError, asyncio.TimeoutError):
        return False
    return True


def _refused(address: str) -> bool:
    """Whether the host says at once that nothing listens there: Dask would go on trying."""
    if not address.startswith(("tcp:", "tls:")):
        return False
    try:
        socket.create_connection(host_and_port(address), timeout=ANSWER).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False


def ask(address: str, security: Any = None, *, timeout: float, op: str, **arguments: Any) -> Any:
    """Ask the scheduler one question over a connection of its own, whatever the state of any client.

    Raises OSError or asyncio.TimeoutError when nothing answers, and what the comm layer says about a wrong address or a
    missing certificate.
    """
    from distributed.comm import connect
    from distributed.core import send_recv
    from distributed.security import Security

    async def question() -> Any:
        given = security if security is not None else Security()
        comm = await connect(address, timeout=timeout, **given.get_connection_args("client"))
        try:
            return await send_recv(comm, op=op, reply=True, **arguments)
        finally:
            comm.abort()

    async def in_time() -> Any:
        return await asyncio.wait_for(question(), timeout)

    return _run(in_time)


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, in a thread of its own: this one can have an event loop already."""
    return bounded(lambda: asyncio.run(work()), timeout=2 * ANSWER)


def expected_workers(spec: ClusterSpec) -> int | None:
    """The number of workers that the keywords name; of a range the lower end."""
    wanted = spec.options.get(SCALE, spec.options.get("n_workers"))
    if isinstance(wanted, list) and wanted:
        wanted = wanted[0]
    return wanted if isinstance(wanted, int) and wanted > 0 else None


def cause(error: BaseException) -> str:
    """The message of an error, with that of its innermost cause when that says more."""
    chain = _chain(error)
    first, last = _message(chain[0]), _message(chain[-1])
    return first if last in first else f"{first} ({last})"


def _message(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return chain


def failed_to_start(error: BaseException, spec: ClusterSpec) -> CrtError:
    """What to tell the user whose cluster did not start: a wrong keyword is theirs to mend, the rest is not."""
    for each in _chain(error):
        if isinstance(each, TypeError) and _UNEXPECTED_KEYWORD in str(each):
            return UsageError(
                f"cluster {spec.name}: {each}",
                hint=f"mend the keywords of [clusters.{spec.name}] in your configuration",
            )
    return ToolError(f"cluster {spec.name} did not start: {cause(error)}")


def check_keywords(make: Any, options: dict[str, Any], spec: ClusterSpec) -> None:
    """Raise UsageError, with the nearest name, for keywords that the signature of a class does not have."""
    try:
        signature = inspect.signature(make)
    except ValueError:  # written in C
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        known = [
            each.name
            for each in signature.parameters.values()
            if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        wrong = [each for each in options if each not in known]
        described = unknown("keyword", wrong[0], known) if wrong else str(error)
        raise UsageError(
            f"cluster {spec.name}: {described}",
            hint=f"mend the keywords of [clusters.{spec.name}] in your configuration",
        ) from error
