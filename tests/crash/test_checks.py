"""The checks can fail: each violation is planted once into the records of a real run, and found."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

import pytest
from tests.crash.checks import check
from tests.crash.customer import FLOWS, Customer
from tests.crash.plan import POINTS, RANDOM_KILLS, RANDOM_SEEDS, SERVE_KILLS
from tests.crash.planted import PLANTED, Planted
from tests.crash.records import Records
from tests.crash.verdict import gather, until_closed
from tests.crash.world import Downstream, NodeWorld, Zygote

from rco.model.journal import Kind

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, downstream: Downstream, zygote: Zygote) -> Records:
    """The records of a service that was killed once and held its promises."""

    async def make() -> Records:
        node = NodeWorld(tmp_path_factory.mktemp("whole"), downstream, zygote)
        customer = Customer(node, 5, "wholex")
        try:
            for flow in (*FLOWS, *FLOWS, *FLOWS):
                customer.begin(flow)
            await node.start("commit.after-commit/CLOSE:4")
            await node.death()
            await node.start()
            await customer.finish()
            await until_closed(node)
            return await gather(node, customer, "wholex")
        finally:
            customer.stop()
            await node.stop()

    return asyncio.run(make())


@pytest.fixture
def records(whole: Records) -> Records:
    """A copy to be spoilt."""
    return copy.deepcopy(whole)


def test_the_records_of_a_good_service_pass(whole: Records) -> None:
    assert check(whole) == []
    kinds = {Kind(record.kind) for run in whole.runs.values() for record in run.records}
    missing = (
        set(Kind)
        - kinds
        - {Kind.OWNER, Kind.STEP_INTENT, Kind.IN_DOUBT, Kind.SETTLED, Kind.PAUSE, Kind.RESUME, Kind.BEGIN}
        - {Kind.VERSION, Kind.ATTRIBUTE}
    )
    assert not missing, f"nothing leaves a record of {missing}; what it would show is not tested"


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(plant: Callable[[Records], Planted], records: Records) -> None:
    part, kind = plant(records)
    # By the check that is there for it: another one that stumbles over it as well proves nothing.
    found = list(part(records))
    assert kind in {finding.kind for finding in found}, found
    assert found[0] in check(records)


def test_the_ledger_lines_of_other_tests_are_not_read(whole: Records) -> None:
    assert {one.order.partition("-")[0] for one in (*whole.seen, *whole.effects)} == {"wholex"}


def test_the_plan_holds_at_least_two_hundred_kills() -> None:
    assert len(POINTS) == len(set(POINTS))
    assert len(POINTS) + RANDOM_KILLS * len(RANDOM_SEEDS) + SERVE_KILLS >= 200
