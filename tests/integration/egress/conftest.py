from collections.abc import AsyncIterator

import pytest
from tests.integration.egress.rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.stop()
