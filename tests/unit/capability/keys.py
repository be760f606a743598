"""Keys, a clock that stands still, and an authority over them."""

from rco.capability.authority import Authority
from rco.capability.keyring import Key, Keyring
from rco.capability.revoked import Revoked
from rco.kit.ids import Ids

SECRET = bytes(range(32))
OTHER = bytes(range(32, 64))
NOW_S = 1_790_000_000


class Still:
    """A clock that moves when it is told to."""

    def __init__(self, now_s: int = NOW_S) -> None:
        self.at_s = float(now_s)

    def now_us(self) -> int:
        return int(self.at_s * 1_000_000)

    def monotonic(self) -> float:
        return self.at_s


def key(kid: str = "k1", secret: bytes = SECRET, mint_from_s: int = 0, accept_until_s: int | None = None) -> Key:
    until = None if accept_until_s is None else accept_until_s * 1_000_000
    return Key(kid, int(kid[1:]), secret, 0, mint_from_s * 1_000_000, until)


class Office:
    """An authority with everything that can be turned in it."""

    def __init__(self, *keys: Key, life_max_s: float = 3600.0) -> None:
        self.clock = Still()
        self.ring = Keyring(keys or [key()])
        self.revoked = Revoked(self.clock)
        self.revoked.heard(self.clock.monotonic(), 0)
        self.authority = Authority(
            lambda: self.ring,
            self.revoked,
            clock=self.clock,
            ids=Ids(self.clock),
            audience="rco",
            life_max_s=life_max_s,
        )

    def after(self, seconds: float) -> None:
        """Let time go by, with the store answering."""
        self.clock.at_s += seconds
        self.revoked.heard(self.clock.monotonic(), self.revoked.seq)
