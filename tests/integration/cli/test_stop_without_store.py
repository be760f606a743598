"""A service that is told to stop while its database is away ends all the same."""

from __future__ import annotations

import signal
import threading

from tests.servers.postgres import PostgresServer


def test_a_service_whose_database_is_away_ends_when_it_is_told_to(start) -> None:
    server = PostgresServer()
    try:
        running = start("serve", "--app", "app.py", "--store", server.dsn(server.database()))
        running.until("serving http://")
        server.stop_now()
        running.signal(signal.SIGTERM)
        # It waits for the database for some seconds, never for as long as it takes.
        stop = threading.Timer(60, running.process.kill)
        stop.start()
        try:
            assert running.end() != -signal.SIGKILL
        finally:
            stop.cancel()
    finally:
        server.stop()
