"""``rco namespace``: tenants, and what each may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from rco.cli.output import print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.errors import ConfigInvalid

if TYPE_CHECKING:
    from rco.model.wire_tenants import NamespaceView

__all__ = ["app"]

app = App(name="namespace", help="Make namespaces, and say what each may have.")
_Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List namespaces with what they have open and how many starts and events they had today."""
    page = ask(link, lambda client: client.namespaces.list())
    if link.json:
        print_json(page)
        return
    rows = []
    for one in page.items:
        used, quotas = one.usage, one.quotas
        rows.append(
            (
                one.name,
                (one.state, "green" if one.state == "active" else "red"),
                _of(used.open_runs, quotas.open_runs),
                _of(used.starts_today, quotas.starts_per_day),
                _of(used.events_today, quotas.events_per_day),
                _of(used.stored_bytes, quotas.stored_bytes),
                _of(used.schedules, quotas.schedules),
            )
        )
    columns = ("Name", "State", "Open runs", "Starts today", "Events today", "Stored bytes", "Schedules")
    print_table(columns, rows, nothing="There are none.")


@app.command
def show(name: str, *, link: Link = LINK) -> None:
    """Show one namespace: its quotas, and what it has.

    Parameters
    ----------
    name
        Which one.
    """
    _print(link, ask(link, lambda client: client.namespaces.show(name)))


@app.command
def create(name: str, *, quota: _Many = None, link: Link = LINK) -> None:
    """Make a namespace. Needs an administrator's token for all namespaces.

    Parameters
    ----------
    name
        A DNS label: a-z, 0-9 and dash, at most 63 of them.
    quota
        NAME=NUMBER, once for each: open_runs, starts_per_s, starts_per_day, events_per_day, stored_bytes, schedules,
        payload_bytes. What is not given is not bounded.
    """
    import msgspec

    from rco.model.namespace import Quotas
    from rco.model.wire_tenants import CreateNamespace

    asked = CreateNamespace(name=name, quotas=msgspec.convert(_quotas(quota), Quotas))
    _print(link, ask(link, lambda client: client.namespaces.create(asked)))


@app.command(name="set")
def set_(
    name: str, *, state: Literal["active", "closed"] | None = None, quota: _Many = None, link: Link = LINK
) -> None:
    """Change a namespace: here at once, on every node within a second. What was accepted goes on.

    Parameters
    ----------
    name
        Which one.
    state
        closed: nothing new is accepted, and its schedules wait. What is open goes on to its end.
    quota
        NAME=NUMBER, once for each; NAME=none for no bound. What is not given stays.
    """
    import msgspec

    from rco.model.wire_tenants import SetNamespace

    if state is None and not quota:
        raise ConfigInvalid("nothing is changed", cure="Give --state or --quota.")
    asked = SetNamespace(
        state=msgspec.UNSET if state is None else state, quotas=_quotas(quota) if quota else msgspec.UNSET
    )
    _print(link, ask(link, lambda client: client.namespaces.set(name, asked)))


def _quotas(given: list[str] | None) -> dict[str, int | None]:
    from rco.model.namespace import Quotas

    names = Quotas.__struct_fields__
    quotas: dict[str, int | None] = {}
    for text in given or []:
        name, equals, number = text.partition("=")
        plain = number.isascii() and number.isdecimal() and len(number) < 16
        if not equals or name not in names or not (plain or number == "none"):
            raise ConfigInvalid(
                f"{text!r} is not a quota", cure=f"Write NAME=NUMBER; names: {', '.join(names)}.", key="--quota"
            )
        quotas[name] = int(number) if plain else None
    return quotas


def _print(link: Link, view: NamespaceView) -> None:
    if link.json:
        print_json(view)
        return
    used, quotas = view.usage, view.quotas
    print_text(f"{view.name}: {view.state}" + (", declared in the configuration" if view.origin == "config" else ""))
    rows = [
        ("open_runs", used.open_runs, _bound(quotas.open_runs)),
        ("starts_per_s", _counted(used.starts_this_second), _bound(quotas.starts_per_s)),
        ("starts_per_day", _counted(used.starts_today), _bound(quotas.starts_per_day)),
        ("events_per_day", _counted(used.events_today), _bound(quotas.events_per_day)),
        ("stored_bytes", _counted(used.stored_bytes), _bound(quotas.stored_bytes)),
        ("schedules", used.schedules, _bound(quotas.schedules)),
        ("payload_bytes", "", _bound(quotas.payload_bytes)),
    ]
    print_table(("Quota", "Has", "May have"), rows, nothing="")


def _counted(used: int | None) -> str:
    return "not counted" if used is None else str(used)


def _bound(limit: int | None) -> str:
    return "no bound" if limit is None else str(limit)


def _of(used: int | None, limit: int | None) -> str:
    return _counted(used) if limit is None else f"{used}/{limit}"
