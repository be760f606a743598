"""Brokers of our own: from the machine's binaries, with their files in a folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from rco.brokers.options import BrokerSettings
from rco.measure.ports import free_port

__all__ = ["SERVERS", "KafkaServer", "NatsServer", "RedisServer", "Server"]

_SCRIPTS = Path(__file__).parents[2] / "scripts"


class Server:
    """One server process. ``kill`` and ``start`` make it crash and come back with what is on its disk."""

    kind: str
    patience_s = 60.0

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"rco-{self.kind}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.prepare()
        self.start()

    def prepare(self) -> None:
        """Install what is missing, and write what it reads at its start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def url(self) -> str:
        raise NotImplementedError

    def settings(self, **more: object) -> BrokerSettings:
        return BrokerSettings(kind=self.kind, url=self.url(), **{"timeout_s": 10.0, **more})  # type: ignore[arg-type]

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def start(self) -> None:
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(self.command(), stdout=said, stderr=said, cwd=self.folder)
        until = time.monotonic() + self.patience_s
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "said").read_text()[-3000:]
            assert time.monotonic() < until, f"{self.kind} does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut for the process: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def freeze(self) -> None:
        """It answers nothing any more, and its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # A stop reaches each thread in its own time.
        tasks = Path(f"/proc/{self._process.pid}/task")
        while any(task.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "T" for task in tasks.iterdir()):
            time.sleep(0.001)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove everything."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class NatsServer(Server):
    """JetStream, with its files in the folder."""

    kind = "nats"

    def prepare(self) -> None:
        subprocess.run([_SCRIPTS / "need-nats"], check=True, timeout=600)

    def command(self) -> list[str]:
        found = shutil.which("nats-server") or "/usr/sbin/nats-server"
        return [found, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "data")]

    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"


class RedisServer(Server):
    """An append-only file, flushed with every command."""

    kind = "redis"

    def prepare(self) -> None:
        subprocess.run([_SCRIPTS / "need-redis"], check=True, timeout=600)

    def command(self) -> list[str]:
        return [
            shutil.which("redis-server") or "/usr/bin/redis-server",
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
        ]

    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class KafkaServer(Server):
    """One node that is broker and controller."""

    kind = "kafka"
    patience_s = 180.0

    def prepare(self) -> None:
        done = subprocess.run([_SCRIPTS / "need-kafka"], check=True, capture_output=True, text=True, timeout=900)
        jars = done.stdout.strip().splitlines()[-1]
        self._java = ["java", "-Xmx256m", "-cp", f"{jars}/*"]
        controller = free_port()
        (self.folder / "server.properties").write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}\n"
            "controller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            f"log.dirs={self.folder / 'data'}\n"
            "offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\nauto.create.topics.enable=false\n"
            "group.initial.rebalance.delay.ms=0\nlog.flush.interval.messages=1\n"
        )
        tool = [
            *self._java,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "cmNvLXRlc3RzLWthZmthMQ",
            "-c",
            "server.properties",
        ]
        done = subprocess.run(tool, cwd=self.folder, capture_output=True, text=True, check=False, env=self._quiet())
        assert done.returncode == 0, done.stdout + done.stderr

    def _quiet(self) -> dict[str, str]:
        return {**os.environ, "KAFKA_OPTS": ""}

    def command(self) -> list[str]:
        return [*self._java, "kafka.Kafka", "server.properties"]

    def url(self) -> str:
        return f"127.0.0.1:{self.port}"


SERVERS: dict[str, type[Server]] = {"nats": NatsServer, "redis": RedisServer, "kafka": KafkaServer}
