"""A quarter of the senders have clocks that are ten minutes late, and another quarter are ten minutes ahead."""

from __future__ import annotations

from rco.drills.drill import UNHURRIED, Drill
from rco.drills.load import Load
from rco.drills.size import Size

__all__ = ["DRILL"]


def _under(size: Size) -> Load:
    return Load(phase="fault", rate_per_s=size.rate_per_s, late=0.25, ahead=0.25)


DRILL = Drill(
    name="sender-skew",
    about="the clocks of half the senders are 10 min late or ahead",
    expects="Theirs are refused, everybody else's are taken, and nothing browns out over it.",
    writes="POLICY_BLOCKED",
    under=_under,
    anywhere=True,
    settings=lambda _: UNHURRIED,
)
