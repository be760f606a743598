"""A PgBouncer of our own in transaction mode, in front of a server of our own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from rco.measure.ports import free_port

__all__ = ["PgBouncer"]

_NEED = Path(__file__).parents[2] / "scripts" / "need-pgbouncer"
_SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool}
unix_socket_dir =
logfile = {folder}/log
"""


class PgBouncer:
    """``pool`` connections to the server at ``server_port``, whoever asks. Runs until ``stop``."""

    def __init__(self, server_port: int, *, pool: int) -> None:
        subprocess.run([str(_NEED)], check=True, timeout=600)
        found = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        self.folder = Path(tempfile.mkdtemp(prefix="rco-pgbouncer-"))
        self.port = free_port()
        (self.folder / "users").write_text('"rco" ""\n')
        settings = self.folder / "settings.ini"
        settings.write_text(_SETTINGS.format(server=server_port, port=self.port, folder=self.folder, pool=pool))
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            entry = pwd.getpwnam("nobody")
            user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            for path in (self.folder, settings, self.folder / "users"):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen([found, str(settings)], stdout=said, stderr=said, cwd="/", **user)
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "said").read_text()
                assert time.monotonic() < until, "PgBouncer does not answer"
                time.sleep(0.02)
            else:
                return

    def dsn(self, database: str) -> str:
        return f"postgresql://rco@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End it and remove everything."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
