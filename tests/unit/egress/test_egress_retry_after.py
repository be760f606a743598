import pytest

from rco.egress.retry_after import RETRY_AFTER_CAP_S, retry_after_s

NOW_US = 1_700_000_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("values", "wait_s"),
    [
        (["120"], 120.0),
        ([" 120 "], 120.0),
        (["3601"], RETRY_AFTER_CAP_S),
        (["1000000000"], RETRY_AFTER_CAP_S),
        (["Tue, 14 Nov 2023 22:14:20 GMT"], 60.0),
        (["Tue, 14 Nov 2033 22:14:20 GMT"], RETRY_AFTER_CAP_S),
        (["Tue, 14 Nov 2023 22:13:20 GMT"], None),
        (["Tue, 14 Nov 2013 22:13:20 GMT"], None),
        (["0"], None),
        (["-1"], None),
        (["1e9"], None),
        (["1.5"], None),
        (["+5"], None),
        (["nan"], None),
        (["inf"], None),
        (["٣"], None),
        (["1" * 20], None),
        ([""], None),
        (["soon"], None),
        (["Tue, 99 Nov 99999 22:13:20 GMT"], None),
        (["1", "2"], None),
        ([], None),
    ],
)
def test_only_what_can_be_meant_is_believed(values: list[str], wait_s: float | None) -> None:
    assert retry_after_s(values, NOW_US) == wait_s
