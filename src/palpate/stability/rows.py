"""A trace as rows, for the run folder."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.stability.trace import COLUMNS, Trace
from palpate.storage.traces import TraceRow


def trace_rows(
    trace: Trace,
    *,
    images: Sequence[str],
    rows: Sequence[int],
    groups: Sequence[str],
    attack: str,
    item: str,
    goal: str,
    eps: float,
) -> list[TraceRow]:
    """One row per eligible image, start and step; images that are not eligible have none.

    Args:
        trace: the trace of a batch of B.
        images: paths of the B images, as in the records.
        rows: their positions in the audited table.
        groups: their units of resampling.
        attack: name of the attack in the plan.
        item: identity of the attack.
        goal: as in the records.
        eps: radius in values.
    """
    numbers = _numbers(trace)
    found = []
    for sample in trace.eligible.nonzero().flatten().tolist():
        for start in range(len(trace.results)):
            for step in range(trace.steps + 1):
                found.append(
                    TraceRow(
                        image=images[sample],
                        row=rows[sample],
                        group=groups[sample],
                        attack=attack,
                        item=item,
                        goal=goal,
                        eps=eps,
                        start=start,
                        step=step,
                        steps=trace.steps,
                        **{name: values[start][sample][step] for name, values in numbers.items()},
                    )
                )
    return found


def _numbers(trace: Trace) -> dict[str, list[list[list[float]]]]:
    """The columns as lists, which are much faster than tensors to read one number at a time."""
    return {name: getattr(trace, name).tolist() for name in COLUMNS}
