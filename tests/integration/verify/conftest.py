"""Records of one real run, shared by all tests of this folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.verify.party import make_records


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    asyncio.run(make_records(folder))
    return folder
