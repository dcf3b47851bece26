"""What the poll thread does when the client breaks: nothing is lost, and nothing is committed that is not done."""

from __future__ import annotations

import collections
import dataclasses
import threading
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import kafka as kafka_python
import pytest
from kafka import errors as kafka_errors

from aftercall.consumers import broker
from aftercall.consumers.intake import kafka as intake
from aftercall.consumers.intake import places
from aftercall.contracts import services

AT = kafka_python.TopicPartition("recordings", 0)
Step = Callable[["Client"], dict[Any, list[Any]]]


@dataclasses.dataclass
class Raw:
    """A record as the client gives it."""

    offset: int
    topic: str = AT.topic
    partition: int = AT.partition
    key: bytes | None = None
    value: bytes = b"12345"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 2_000


class Cluster:
    """One partition with three records. `steps` are what polls do, one after the other; then they find nothing."""

    def __init__(self, *steps: Step) -> None:
        self.steps = collections.deque(steps)
        self.clients: list[Client] = []
        self.committed: list[Any] = []
        self.forbidden: list[Exception] = []
        """What reading commits raises, one after the other."""
        self.is_idle = threading.Event()


class Client:
    """The client, as far as it is used: it gives each record out once, and asks the broker where to begin."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.position_at = cluster.committed[-1].offset if cluster.committed else 0
        self.is_closed = False
        self.breaks_when_closed = False
        self.listener: Any = None
        self._coordinator = types.SimpleNamespace(rejoining=False)
        cluster.clients.append(self)

    def subscribe(self, topics: Collection[str], *, listener: Any) -> None:
        """Be a member."""
        self.listener = listener

    def poll(self, *, timeout_ms: int) -> dict[Any, list[Any]]:
        """Do the next step."""
        if self.cluster.steps:
            return self.cluster.steps.popleft()(self)
        self.cluster.is_idle.set()
        threading.Event().wait(0.001)
        return {}

    def assignment(self) -> set[Any]:
        """Have the partition from the beginning."""
        return {AT}

    def committed(self, at: Any, *, metadata: bool) -> Any:
        """Return the last commit."""
        if self.cluster.forbidden:
            raise self.cluster.forbidden.pop(0)
        return self.cluster.committed[-1] if self.cluster.committed else None

    def position(self, at: Any, *, timeout_ms: int) -> int:
        """Return what is given out next."""
        return self.position_at

    def commit_async(self, offsets: Mapping[Any, Any], callback: Any = None) -> Any:
        """Commit at once; whoever awaits it knows."""
        self.cluster.committed.append(offsets[AT])

        async def done() -> None:
            """Nothing is left to wait for."""

        return done() if callback is None else None

    def close(self, *, timeout_ms: int) -> None:
        """Leave the group; the listener is told."""
        self.is_closed = True
        if self.breaks_when_closed:
            raise RuntimeError("NetworkSelector closed!")
        tell(self.listener.on_partitions_revoked([AT]))


def tell(asked: Any) -> None:
    """Run what the client's own thread would run, to its end."""
    with pytest.raises(StopIteration):
        asked.send(None)


def give(*offsets: int) -> Step:
    """Return a poll that gives records out."""

    def step(client: Client) -> dict[Any, list[Any]]:
        client.position_at = offsets[-1] + 1
        return {AT: [Raw(offset) for offset in offsets]}

    return step


def give_all(client: Client) -> dict[Any, list[Any]]:
    """Give out what this client has not given out yet."""
    return give(*range(client.position_at, 3))(client)


def fail(with_: BaseException, *, closing: bool = False) -> Step:
    """Return a poll that fails; with `closing`, so does what the client is closed with."""

    def step(client: Client) -> dict[Any, list[Any]]:
        client.breaks_when_closed = closing
        raise with_

    return step


class Rig:
    """A poller on such a cluster; what is delivered is finished only when a test says so."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.told: list[places.Place | str] = []
        told = broker.member(services.Kafka(bootstrap_servers=("b:9092",)), group="g", name="one")
        bounds = intake.assignments.Bounds(commit_interval_s=0.0)
        self.poller = intake.Poller(
            [AT.topic], told, deliver=self._deliver, withdraw=lambda _: self.told.append("withdrawn"), bounds=bounds
        )

    def _deliver(self, records: Sequence[places.Record]) -> None:
        self.told += [record.place for record in records]

    def run(self) -> None:
        """Let every step happen."""
        self.poller.start()
        assert self.cluster.is_idle.wait(10), "the poll thread has ended, or stands still"

    def places(self) -> list[places.Place]:
        """Return what was delivered."""
        return [one for one in self.told if isinstance(one, places.Place)]

    def offsets(self) -> list[int | str]:
        """Return the offsets of what was delivered, and what was taken back."""
        return [one.offset if isinstance(one, places.Place) else one for one in self.told]


@pytest.fixture
def rig_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Cluster], Rig]]:
    """Build a poller on a cluster, and stop it in the end."""
    found: list[Rig] = []

    def build(cluster: Cluster) -> Rig:
        monkeypatch.setattr(kafka_python, "KafkaConsumer", lambda **_: Client(cluster))
        found.append(Rig(cluster))
        return found[-1]

    monkeypatch.setattr(intake, "_RETRY_S", 0.001)
    yield build
    for each in found:
        each.poller.stop()


Build = Callable[[Cluster], Rig]


@pytest.mark.parametrize(
    "exc", [RuntimeError("NetworkSelector closed!"), ValueError("fd -1"), OSError(9, "Bad file descriptor")]
)
@pytest.mark.parametrize("closing", [False, True])
def test_a_client_that_breaks_is_replaced(
    rig_of: Build, exc: Exception, closing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it can be closed or not: it is said, what it had read is taken back, and the next one reads it again."""
    rig = rig_of(Cluster(give(0, 1), fail(exc, closing=closing), give_all))
    rig.run()

    assert [0, 1, "withdrawn", 0, 1, 2] == rig.offsets()
    assert [True, False] == [each.is_closed for each in rig.cluster.clients]
    assert rig.poller.why_not_polling() is None
    assert rig.poller.why_not_alive() is None
    (said,) = [each for each in caplog.records if each.message == "consumer broke off"]
    assert said.exc_info is not None
    assert exc is said.exc_info[1]


def test_nothing_of_a_client_that_broke_is_committed_unless_it_was_done(rig_of: Build) -> None:
    """What ends later, of a record that is read again, ends nothing of the second reading."""
    rig = rig_of(Cluster(give(0, 1), fail(ValueError()), give_all))
    rig.run()
    before, again = rig.places()[:2], rig.places()[2:]
    assert [0] == sorted({each.offset for each in rig.cluster.committed} | {0})

    for place in (*before, again[0]):
        rig.poller.finish(place)
    rig.poller.stop()

    assert 1 == rig.cluster.committed[-1].offset


def test_a_client_that_breaks_commits_what_is_done_as_it_is_closed(rig_of: Build) -> None:
    """The next one begins behind it."""
    cluster = Cluster(give(0, 1))
    rig = rig_of(cluster)

    def finish_and_fail(_: Client) -> dict[Any, list[Any]]:
        rig.poller.finish(rig.places()[0])
        raise ValueError

    cluster.steps += [finish_and_fail, give_all]
    rig.run()

    assert [0, 1, "withdrawn", 1, 2] == rig.offsets()


def test_records_whose_last_commit_cannot_be_read_are_read_again(rig_of: Build) -> None:
    """The client gives them out once: going on with it would commit beyond them, and nobody would have heard them."""
    cluster = Cluster(give(0, 1), give_all)
    cluster.forbidden.append(kafka_errors.GroupAuthorizationFailedError())
    rig = rig_of(cluster)
    rig.run()

    assert [0, 1, 2] == rig.offsets()
    assert [True, False] == [each.is_closed for each in cluster.clients]


def test_what_the_client_mends_by_itself_is_left_to_it(rig_of: Build) -> None:
    """A broker that is away comes back, and what was read stays read."""
    rig = rig_of(Cluster(give(0, 1), fail(kafka_errors.KafkaConnectionError()), give_all))
    rig.run()

    assert [0, 1, 2] == rig.offsets()
    assert 1 == len(rig.cluster.clients)


def test_a_client_that_could_not_be_closed_has_no_say_any_more(rig_of: Build) -> None:
    """Partitions that it learns to have lost are the next one's."""
    rig = rig_of(Cluster(give(0, 1), fail(RuntimeError(), closing=True), give_all))
    rig.run()

    tell(rig.cluster.clients[0].listener.on_partitions_lost([AT]))
    tell(rig.cluster.clients[0].listener.on_partitions_revoked([AT]))

    assert [0, 1, "withdrawn", 0, 1, 2] == rig.offsets()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_poll_thread_that_has_ended_is_no_life(rig_of: Build) -> None:
    """Nothing here begins it anew; before it begins, and once it was told to end, all is well."""
    rig = rig_of(Cluster(fail(SystemExit())))
    assert rig.poller.why_not_alive() is None
    rig.poller.start()
    rig.poller._thread.join(10)
    assert "the poll thread has ended" == rig.poller.why_not_alive()
    rig.poller.stop()

    assert rig.poller.why_not_alive() is None


def test_what_is_taken_away_as_it_is_asked_for_is_not_committed(rig_of: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next read is stays known for a moment: its three records are another's to read again."""
    rig = rig_of(Cluster(give(0, 1, 2)))
    asked = Client.position

    def position(client: Client, at: Any, *, timeout_ms: int) -> int:
        found = asked(client, at, timeout_ms=timeout_ms)
        tell(client.listener.on_partitions_revoked([AT]))
        return found

    monkeypatch.setattr(Client, "position", position)
    rig.run()
    rig.poller.stop()

    assert 3 == len(rig.places())
    assert [] == [each.offset for each in rig.cluster.committed if each.offset]


def test_clients_that_never_come_to_be_ask_for_a_new_start(rig_of: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaves something behind; a broker that is away for a while is waited for."""
    rig = rig_of(Cluster())
    tried = []

    def refuse(**_: Any) -> None:
        tried.append(1)
        raise kafka_errors.KafkaTimeoutError

    monkeypatch.setattr(kafka_python, "KafkaConsumer", refuse)
    monkeypatch.setattr(intake, "_RETRY_S", 0.0)
    rig.poller.start()
    rig.poller._thread.join(10)

    assert intake._MOST_FAILED == len(tried)
    assert "the poll thread has ended" == rig.poller.why_not_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_that_cannot_be_built_is_said(rig_of: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other than for a broker that is not reached, trying again would not help."""
    rig = rig_of(Cluster())

    def refuse(**_: Any) -> None:
        raise ValueError("no such mechanism")

    monkeypatch.setattr(kafka_python, "KafkaConsumer", refuse)
    rig.poller.start()
    rig.poller._thread.join(10)

    assert "the poll thread has ended" == rig.poller.why_not_alive()
