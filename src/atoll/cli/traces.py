"""`atoll traces`."""

from datetime import datetime

import click
import msgspec
from rich.table import Table
from rich.text import Text

from atoll.cli.console import console
from atoll.cli.options import json_option, target_option
from atoll.cli.project import find_state
from atoll.collector.query import Query, TraceFilter
from atoll.collector.values import Span, Trace
from atoll.dashboard.words import cut, plain
from atoll.supervisor.home import Home

NAME, TEXT = 200, 2_000
"""Characters of a name, and of an error, that are shown."""

_BAR = 30
_DEEPEST = 30
"""Spans below each other that are moved to the right."""


@click.command("traces")
@click.argument("trace_id", required=False)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to list.")
@click.option("--failed", is_flag=True, help="Only those in which something failed.")
@click.option("--service", default="", metavar="NAME", help="Only those that this service took part in.")
@click.option("--least", type=click.FloatRange(min=0), default=0.0, metavar="MS", help="Only with a step this long.")
@target_option
@json_option
def command(
    trace_id: str | None, limit: int, failed: bool, service: str, least: float, target: str | None, as_json: bool
) -> None:
    """List recent traces; or show one, by the beginning of its id, as a tree with durations.

    They are the collector's, which keeps those of earlier runs too. What they are asked for together holds for one
    step: --failed --service payment are those in which payment itself failed.
    """
    query = Query(Home(find_state(target, running=False)).telemetry)
    if trace_id:
        trace = query.trace(trace_id)
        shown: object = _as_data(trace, whole=True) if as_json else tree(trace)
    else:
        traces = query.recent(TraceFilter(service=service, least_milliseconds=least, failed=failed, limit=limit))
        nothing = "no trace is like this" if failed or service or least else "no traces yet"
        shown = [_as_data(each, whole=False) for each in traces] if as_json else listing(traces) if traces else nothing
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
    else:
        console().print(shown)


def _as_data(trace: Trace, *, whole: bool) -> dict[str, object]:
    summary: dict[str, object] = {
        "trace": trace.id,
        "name": trace.telling.name,
        "start": trace.start,
        "milliseconds": round(trace.milliseconds, 3),
        "spans": len(trace.spans),
        "services": trace.services,
        "errors": trace.errors,
    }
    if whole:
        rows = [(depth, span) for root in trace.roots for depth, span in root.walk()]
        summary["tree"] = [{"depth": depth, **msgspec.to_builtins(span)} for depth, span in rows]
    return summary


def listing(traces: list[Trace]) -> Table:
    """A row a trace, newest first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("time", "trace", "asked for", "ms", "spans", "services", "errors"):
        # Only of what may wrap rich takes width away; what is in it does not, but is cut.
        whole = name not in ("asked for", "services")
        table.add_column(name, justify="right" if name in ("ms", "spans", "errors") else "left", no_wrap=whole)
    for trace in traces:
        table.add_row(
            _clock(trace.start),
            trace.id[:12],
            _cut(f"{trace.telling.service} {trace.telling.name}"),
            f"{trace.milliseconds:.1f}",
            str(len(trace.spans)),
            _cut(" ".join(trace.services)),
            Text(str(trace.errors or ""), "red"),
        )
    return table


def tree(trace: Trace) -> Table:
    """A row a span, below what caused it, with a bar for when it was."""
    title = f"trace {trace.id}  {_clock(trace.start)}  {trace.milliseconds:.1f} ms  {len(trace.services)} services"
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left", title_style="bold")
    for name in ("span", "service", "ms", ""):
        table.add_column(name, justify="right" if name == "ms" else "left", no_wrap=name != "span")
    for root in trace.roots:
        for depth, span in root.walk():
            error = f"  {cut(span.error, TEXT)}" if span.error else ""
            said = "  " * min(depth, _DEEPEST) + cut(span.name, NAME) + error
            kind = "" if span.kind == "internal" else f" {span.kind}"
            service = Text.assemble(plain(cut(span.replica or span.service, NAME)), (kind, "dim"))
            what = Text(plain(said), "red" if span.error else "")
            table.add_row(what, service, f"{span.milliseconds:.2f}", Text(bar(trace, span), "cyan"))
    return table


def _cut(text: str) -> Text:
    """In one line, as much of it as there is room for."""
    return Text(plain(cut(text, NAME)), no_wrap=True, overflow="ellipsis")


def bar(trace: Trace, span: Span) -> str:
    """Where in the trace's time the span lies."""
    whole = max(trace.milliseconds * 1e6, 1.0)
    before = int(_BAR * (span.start - trace.start) / whole)
    length = max(1, round(_BAR * (span.end - span.start) / whole))
    return " " * min(before, _BAR - 1) + "━" * min(length, _BAR - min(before, _BAR - 1))


def _clock(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().strftime("%H:%M:%S.%f")[:-3]
