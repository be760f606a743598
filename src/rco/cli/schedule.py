"""``rco schedule``: start workflows by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from rco.cli.given import JsonText, duration_s, json_value
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.model.schedule import CatchUp, Overlap, ScheduleSpec
from rco.model.wire_schedules import FireTimes, ScheduleBrief, ScheduleView

__all__ = ["app"]

app = App(name="schedule", help="Start workflows by the clock.")


@Parameter(name="*")
@dataclass(frozen=True)
class When:
    """When a schedule is due."""

    cron: tuple[str, ...] = ()
    "Cron expression of five fields, e.g. '30 6 * * MON-FRI'; may be given several times."
    every: str | None = None
    "Interval, e.g. 15m, counted from --from, else from the epoch."
    at: tuple[str, ...] = ()
    "Single time, RFC 3339; without an offset it is local to --zone; may be given several times."
    zone: str = "UTC"
    "IANA time zone."
    skipped: Literal["auto", "after", "skip"] = "auto"
    "What becomes of local times that a clock change skips."
    repeated: Literal["auto", "once", "twice"] = "auto"
    "What becomes of local times that a clock change repeats."
    from_: Annotated[str | None, Parameter(name="--from")] = None
    "No tick before this time, RFC 3339."
    to: str | None = None
    "No tick after this time, RFC 3339."
    exclude: tuple[str, ...] = ()
    "Date (2026-12-25) or calendar of the configuration on which nothing is started."
    only: tuple[str, ...] = ()
    "Date or calendar: the only ones on which anything is started."
    jitter: str | None = None
    "Start each tick up to this much later."


WHEN = When()


@app.command
def create(
    name: str,
    *,
    workflow: str,
    input: JsonText = "null",
    tick_field: str = "",
    overlap: Overlap = "skip",
    catch_up: CatchUp = "latest",
    catch_up_window: str = "1h",
    delete_when_done: Annotated[bool, Parameter(negative="")] = False,
    paused: Annotated[bool, Parameter(negative="")] = False,
    note: str = "",
    replace: Annotated[bool, Parameter(negative="")] = False,
    when: When = WHEN,
    link: Link = LINK,
) -> None:
    """Make a schedule.

    Parameters
    ----------
    name
        Its name, its own in the namespace.
    workflow
        Workflow to start.
    input
        Input as JSON; @FILE reads a file, - reads standard input.
    tick_field
        Field of the input that is given the tick's time.
    overlap
        What a tick does while a run of the schedule is open.
    catch_up
        What becomes of ticks that came while nobody could start them.
    catch_up_window
        Ticks later than this are never started.
    delete_when_done
        Remove it when its last run has closed.
    paused
        Make it paused.
    note
        Why, for whoever looks at it next.
    replace
        Give the schedule of that name this specification instead.
    """
    spec = ScheduleSpec(
        workflow=workflow,
        input=json_value(input, "--input"),
        tick_field=tick_field,
        overlap=overlap,
        catch_up=catch_up,
        catch_up_window_s=duration_s(catch_up_window, "--catch-up-window"),
        delete_when_done=delete_when_done,
        **_timing(when),
    )
    if replace:
        view = ask(link, lambda client: client.schedules.replace(name, spec))
    else:
        view = ask(link, lambda client: client.schedules.create(name, spec, paused=paused, note=note))
    _show(view, link)


@app.command(name="list")
def list_(*, after: str = "", limit: int = 50, link: Link = LINK) -> None:
    """List schedules by name.

    Parameters
    ----------
    after
        Name of the last one of the page before.
    limit
        How many, at most 500.
    """
    page = ask(link, lambda client: client.schedules.list(after=after, limit=limit))
    if link.json:
        print_json(page)
        return
    rows = [
        (one.name, (one.status, _STYLES[one.status]), one.workflow, one.when, one.zone, _next(one), one.started)
        for one in page.items
    ]
    columns = ("Name", "Status", "Workflow", "When", "Zone", "Next", "Started")
    print_table(columns, rows, nothing="No schedules.")
    if page.next is not None:
        print_text(f"More: rco schedule list --after {page.next}", "dim")


@app.command
def show(name: str, *, link: Link = LINK) -> None:
    """Show one schedule: where it stands, what runs, what waits.

    Parameters
    ----------
    name
        Name of the schedule.
    """
    _show(ask(link, lambda client: client.schedules.show(name)), link)


@app.command
def pause(name: str, *, note: str = "", link: Link = LINK) -> None:
    """Start nothing by the clock until it is resumed.

    Parameters
    ----------
    name
        Name of the schedule.
    note
        Why, for whoever looks at it next.
    """
    _show(ask(link, lambda client: client.schedules.pause(name, note)), link)


@app.command
def resume(name: str, *, note: str = "", link: Link = LINK) -> None:
    """Go on by the clock. Ticks of the pause are passed over.

    Parameters
    ----------
    name
        Name of the schedule.
    note
        Why, for whoever looks at it next.
    """
    _show(ask(link, lambda client: client.schedules.resume(name, note)), link)


@app.command
def trigger(name: str, *, overlap: Overlap = "allow", link: Link = LINK) -> None:
    """Start a run now, also while it is paused.

    Parameters
    ----------
    name
        Name of the schedule.
    overlap
        What to do while a run of the schedule is open.
    """
    triggered = ask(link, lambda client: client.schedules.trigger(name, overlap=overlap))
    print_answer(triggered, f"{triggered.run_id}  triggered", json=link.json)


@app.command
def backfill(
    name: str,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: str,
    overlap: Overlap = "buffer_all",
    link: Link = LINK,
) -> None:
    """Start the ticks of a span of the past that have no run yet.

    Parameters
    ----------
    name
        Name of the schedule.
    from_
        Start of the span, RFC 3339; a tick at this very time is not part of it.
    to
        End of the span, RFC 3339; a tick at this very time is part of it.
    overlap
        How they are started; by default one after the other.
    """
    _show(ask(link, lambda client: client.schedules.backfill(name, from_, to, overlap=overlap)), link)


@app.command(name="next")
def next_(
    name: str | None = None, *, count: int = 5, after: str | None = None, when: When = WHEN, link: Link = LINK
) -> None:
    """Show the next ticks of a schedule, or of one that is still to be made.

    Parameters
    ----------
    name
        Name of the schedule; without one, what is given by --cron and its like is worked out.
    count
        How many, at most 100.
    after
        After this time, RFC 3339, instead of now.
    """
    if name is not None:
        times = ask(link, lambda client: client.schedules.next(name, count=count, after=after))
    else:
        spec = ScheduleSpec(workflow="-", **_timing(when))
        times = ask(link, lambda client: client.schedules.preview(spec, count=count, after=after))
    _show_times(times, link)


@app.command
def delete(name: str, *, link: Link = LINK) -> None:
    """Remove a schedule with what waits in its line. Its open runs go on.

    Parameters
    ----------
    name
        Name of the schedule.
    """
    ask(link, lambda client: client.schedules.delete(name))
    print_answer({"name": name, "deleted": True}, f"{name}  deleted", json=link.json)


_STYLES = {"active": "green", "paused": "yellow", "done": "dim"}


def _timing(when: When) -> dict[str, Any]:
    return {
        "cron": list(when.cron),
        "every_s": duration_s(when.every, "--every") if when.every is not None else None,
        "at": list(when.at),
        "zone": when.zone,
        "skipped": when.skipped,
        "repeated": when.repeated,
        "start_at": when.from_,
        "end_at": when.to,
        "exclude": list(when.exclude),
        "only": list(when.only),
        "jitter_s": duration_s(when.jitter, "--jitter") if when.jitter is not None else 0.0,
    }


def _next(one: ScheduleBrief) -> str:
    return moment(one.next_at)


def _show(view: ScheduleView, link: Link) -> None:
    if link.json:
        print_json(view)
        return
    print_text(f"{view.name}  {view.status}", _STYLES[view.status])
    print_text(f"  workflow  {view.workflow}")
    print_text(f"  when      {view.when}  ({view.zone})")
    print_text(
        f"  overlap   {view.spec.overlap}, catch up {view.spec.catch_up} within {view.spec.catch_up_window_s:g}s"
    )
    print_text(f"  next      {_next(view) or 'none'}")
    print_text(f"  so far    {view.started} started, {view.skipped} skipped, {view.missed} missed")
    for label, value in (("note", view.note), ("problem", view.problem)):
        if value:
            print_text(f"  {label:<9} {value}")
    if view.running:
        print_text(f"  running   {', '.join(view.running)}")
    if view.waiting:
        print_text(f"  waiting   {len(view.waiting)}, from {view.waiting[0]}")
    for one in view.recent:
        print_text(f"  {moment(one.started_at)}  {one.run_id}  {one.kind} of {moment(one.tick)}", "dim")


def _show_times(times: FireTimes, link: Link) -> None:
    if link.json:
        print_json(times)
        return
    rows = [(moment(one.tick), one.local, moment(one.start, "milliseconds")) for one in times.items]
    print_table(("Tick", "Local time", "Started at"), rows, nothing="No tick to come.")
