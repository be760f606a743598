"""Whatever is sent to a route of the API, described or not, is answered, and not with a failure of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from tests.fuzz.conftest import Target, examples, rounds

DOCUMENT = Path(__file__).parents[2] / "docs/reference/openapi.json"
SCHEMA = schemathesis.openapi.from_path(str(DOCUMENT))
# Draining is for good, and these wait: their turn is in the tests of the API.
SKIPPED = {"POST /v1/node/drain", "GET /v1/runs/{run_id}/wait"}
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
LABELS = [one.label for one in OPERATIONS if one.label not in SKIPPED]
BY_LABEL = {one.label: one for one in OPERATIONS}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("label", LABELS)
def test_no_request_breaks_a_route(target: Target, label: str) -> None:
    operation = BY_LABEL[label]
    strategy = st.one_of([operation.as_strategy(generation_mode=mode) for mode in MODES])

    @examples(8)
    @given(data=st.data())
    def tries(data: Any) -> None:
        case = data.draw(strategy)
        for name, values in target.known.items():
            if name in (case.path_parameters or {}) and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(values))
        answer = case.call(base_url=target.url, headers=target.headers, timeout=30)
        case.validate_response(
            answer, checks=[not_a_server_error, status_code_conformance, response_schema_conformance]
        )
        if not 200 <= answer.status_code < 300 and "graphql" not in answer.headers["content-type"][0]:
            told = answer.json()
            assert set(told) == {"error", "reason", "corr_id"} or label.endswith("z"), told

    for _ in rounds(len(LABELS) + 3):
        tries()
    target.alive()
