"""Rules that the unit tests try with few examples, as they are asked before every commit: here with many."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bridge import test_bridge_callers as callers
from tests.unit.queues import test_line as line

MANY = settings(max_examples=600, deadline=None)


test_callers_within_a_cap = MANY(
    given(steps=callers.STEPS, cap=st.integers(1, 6))(
        callers.test_no_caller_gets_more_than_a_bucket_of_its_own_would_give.hypothesis.inner_test
    )
)
test_callers_with_room = MANY(
    given(steps=callers.STEPS)(callers.test_with_room_for_all_each_has_exactly_its_own.hypothesis.inner_test)
)
test_a_queues_line = MANY(
    given(
        steps=line.STEPS,
        page=st.integers(1, 6),
        concurrency=st.integers(1, 6),
        per_key=st.integers(1, 4),
        late=st.booleans(),
    )(line.test_limits_order_and_fairness_hold_in_any_history.hypothesis.inner_test)
)
