"""A Kafka broker of one process, KRaft, in memory enough for two cores."""

from __future__ import annotations

import pathlib
import subprocess

from peers import cache, process

_PROPERTIES = """\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}/kafka
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
num.io.threads=2
num.network.threads=2
"""
_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAA"


def build() -> pathlib.Path:
    """Return the folder that holds the broker's jars."""
    command = ["mvn", "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory={out}"]
    return cache.build("broker", command, needs=("mvn", "java"))


class Broker(process.Server):
    """A broker whose data survives `kill`. Whoever comes by a proxy to port `behind` is told the proxy's port.

    One that `joins` another, which has to run all the time, is the second of its cluster.
    """

    def __init__(self, folder: pathlib.Path, *, proxy_port: int | None = None, joins: Broker | None = None) -> None:
        self._jars = build()
        self.port, self.behind = process.free_port(), process.free_port()
        self.controller = process.free_port() if joins is None else joins.controller
        self.address = f"127.0.0.1:{self.port}"
        self._properties = folder / "server.properties"
        logging = folder / "log4j2.properties"
        logging.write_text(_LOGGING, encoding="utf-8")
        java = [
            *("java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *(f"-Dlog4j2.configurationFile={logging}", "-cp", f"{self._jars}/*"),
        ]
        super().__init__(
            "broker",
            [*java, "kafka.Kafka", str(self._properties)],
            folder=folder,
            is_ready=self._has_started,
        )
        listeners = {"PLAINTEXT": self.port, "PROXIED": self.behind}
        if joins is None:
            listeners["CONTROLLER"] = self.controller
        self._properties.write_text(
            _PROPERTIES.format(
                roles="broker,controller" if joins is None else "broker",
                node=1 if joins is None else 2,
                listeners=",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
                port=self.port,
                behind=self.behind,
                proxy=proxy_port or self.behind,
                controller=self.controller,
                folder=folder,
            ),
            encoding="utf-8",
        )
        self._starts = 0
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties)],
            check=True,
            capture_output=True,
            timeout=60,
        )

    def start(self) -> None:
        """Start it, and return once it serves."""
        self._starts += 1
        super().start()

    def _has_started(self) -> bool:
        return self.log.read_text(errors="replace").count("Kafka Server started") >= self._starts

    def create_topics(self, partitions: dict[str, int]) -> None:
        """Create topics."""
        import kafka

        admin = kafka.KafkaAdminClient(bootstrap_servers=self.address)
        try:
            admin.create_topics(
                {name: {"num_partitions": n, "replication_factor": 1} for name, n in partitions.items()}
            )
        finally:
            admin.close()
