"""Gates on differences: `robust accuracy: at most 1 point worse`, read from a text or a TOML file, and judged.

    FIGURE [of PART] [under ATTACK] [at eps EPS] [with HOW]: at most NUMBER worse [, by interval]
    FIGURE ...: at least NUMBER better
    FIGURE ...: not worse

`of each class` (structure, finding, class of box, site, scanner, size) holds for each of them. Without `under` it is
the worst case over all attacks; without `at eps` it holds at every budget. NUMBER is `1 point` for a share, `0.02` for
a coefficient, `2 mm` for a measure with a unit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from palpate.errors import InputError, nearest
from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.compare.measured import budget, written_budget
from palpate.report.compute.compare.sentences import delta_in_words
from palpate.report.model.schema_compare import Change, GateResult, Pair
from palpate.report.model.words import amount
from palpate.units import Scale

By = Literal["estimate", "interval"]
EACH = ("class", "structure", "finding", "class of box", "site", "scanner", "size")
_SUBJECT = re.compile(
    r"(?P<figure>.+?)(?: of (?P<of>.+?))?(?: under (?P<under>.+?))?(?: at eps (?P<eps>.+?))?(?: with (?P<how>.+?))?"
)
_NUMBER = r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[^\d\s,][^,]*?)?"
_LIMIT = re.compile(
    rf"(?:at most\s+{_NUMBER}\s+worse|at least\s+{_NUMBER.replace('number', 'gain').replace('unit', 'of')}\s+better"
    r"|(?P<none>not worse))(?:\s*,\s*by\s+(?P<by>\w+))?"
)
_EXAMPLE = "Write it like 'robust accuracy: at most 1 point worse' or 'clean accuracy: at least 2 points better'."
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Gate:
    """A limit on a difference.

    Attributes:
        text: as it was written.
        figure: `robust accuracy`, `dice` and so on.
        of: a class, structure, finding, site or scanner; `each class` and so on for all of them.
        under: an attack, an artefact, `any attack` or `clean`; None takes what the figure is usually about.
        eps: a budget as in a plan; None for all of them.
        how: of an artefact `severity 3` or `worst found`; of survival the step.
        limit: largest loss, or least gain; in points if `unit` is `point`.
        unit: `point`, a unit, or empty.
        better: whether `limit` is a gain that is asked for.
        by: what must be within the limit; None takes the default of the comparison.
    """

    text: str
    figure: str
    of: str = ""
    under: str | None = None
    eps: float | str | None = None
    how: str = ""
    limit: float = 0.0
    unit: str = ""
    better: bool = False
    by: By | None = None


def parse_gate(text: str) -> Gate:
    """A gate from its text.

    Raises:
        InputError: it has another form.

    >>> parse_gate("robust accuracy under pgd at eps 4/255: at most 1 point worse").limit
    1.0
    """
    subject, colon, limit = text.rpartition(":")
    found, bound = _SUBJECT.fullmatch(subject.strip()), _LIMIT.fullmatch(limit.strip())
    if not colon or found is None or bound is None:
        raise InputError(f"gate '{text}': it is not a figure, a colon and a limit. {_EXAMPLE}")
    number, unit = (bound["number"] or bound["gain"] or "0"), (bound["unit"] or bound["of"] or "")
    gate = Gate(
        text=text.strip(),
        figure=found["figure"].strip().lower(),
        of=_bare(found["of"]),
        under=_bare(found["under"]) or None,
        eps=_bare(found["eps"]) or None,
        how=_bare(found["how"]),
        limit=float(number),
        unit="point" if unit in {"point", "points"} else unit,
        better=bound["gain"] is not None,
        by=_by(bound["by"], f"gate '{text}'"),
    )
    return _tidy(gate)


def _bare(text: str | None) -> str:
    return (text or "").strip().strip("'\"")


def _by(text: str | None, where: str) -> By | None:
    if text is None or text in get_args(By):
        return text  # type: ignore[return-value]
    raise InputError(f"{where}: '{text}' cannot judge a gate. Write estimate or interval.")


def _tidy(gate: Gate) -> Gate:
    """`clean dice` is the figure `dice` without an attack."""
    if gate.figure.startswith("clean ") and gate.figure != "clean accuracy":
        return replace(gate, figure=gate.figure.removeprefix("clean "), under=gate.under or CLEAN)
    return gate


def read_gates(path: Path) -> list[Gate]:
    """The `[[gates]]` of a TOML file, each a table with `gate` (a text as above), or `figure` and the parts.

    Raises:
        InputError: the file cannot be read, or a table has an unknown or missing field.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}.") from error
    tables = document.get("gates")
    if set(document) != {"gates"} or not isinstance(tables, list) or not tables:
        raise InputError(f'{path}: it must hold [[gates]] and nothing else, such as [[gates]] with gate = "...".')
    return [_from_table(table, f"{path}, gate {number}") for number, table in enumerate(tables, 1)]


_FIELDS = ("gate", "figure", "of", "under", "eps", "how", "at_most_worse", "at_least_better", "by")


def _from_table(table: Any, where: str) -> Gate:
    if not isinstance(table, dict):
        raise InputError(f"{where}: it is not a table. {_EXAMPLE}")
    if unknown := sorted(set(table) - set(_FIELDS)):
        raise InputError(f"{where}: '{unknown[0]}' is not a field of a gate. {nearest(unknown[0], _FIELDS)}")
    if wrong := [name for name, value in table.items() if not isinstance(value, str | int | float)]:
        raise InputError(f"{where}: {wrong[0]} must be a text or a number.")
    if "gate" in table:
        if len(table) > 1:
            raise InputError(f"{where}: gate is a whole gate in words, so leave out {neighbour(table)}.")
        try:
            return parse_gate(str(table["gate"]))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    limits = [name for name in ("at_most_worse", "at_least_better") if name in table]
    if "figure" not in table or len(limits) != 1:
        raise InputError(f"{where}: it needs figure, and one of at_most_worse and at_least_better.")
    return _built(table, limits[0], where)


def neighbour(table: Mapping[str, Any]) -> str:
    """The other fields of a table in words."""
    return ", ".join(name for name in table if name != "gate")


def _built(table: Mapping[str, Any], limit: str, where: str) -> Gate:
    found = re.fullmatch(_NUMBER, str(table[limit]).strip())
    if found is None:
        raise InputError(f'{where}: {limit} must be a number of 0 or more with its unit, such as "1 point".')
    unit = found["unit"] or ""
    better = limit == "at_least_better"
    said = " ".join(
        [str(table["figure"])]
        + [f"{word} {table[name]}" for name, word in
           (("of", "of"), ("under", "under"), ("eps", "at eps"), ("how", "with")) if name in table]
    )  # fmt: skip
    gate = Gate(
        text=f"{said}: {'at least' if better else 'at most'} {table[limit]} {'better' if better else 'worse'}",
        figure=str(table["figure"]).strip().lower(),
        of=str(table.get("of", "")),
        under=str(table["under"]) if "under" in table else None,
        eps=table.get("eps"),
        how=str(table.get("how", "")),
        limit=float(found["number"]),
        unit="point" if unit in {"point", "points"} else unit,
        better=better,
        by=_by(table.get("by"), where),
    )
    return _tidy(gate)


def judge_gates(gates: Sequence[Gate], pairs: Sequence[Pair], scale: Scale, by: By = "estimate") -> list[GateResult]:
    """Each gate on each pair of runs.

    Args:
        gates: the limits.
        pairs: each later run with the first one.
        scale: what the values of the images mean.
        by: what must be within the limit, for gates that do not say it.

    Raises:
        InputError: a gate names a figure, a part, an attack or a budget that the comparison does not have.
    """
    return [_judge(gate, pair, scale, gate.by or by) for gate in gates for pair in pairs]


def _judge(gate: Gate, pair: Pair, scale: Scale, by: By) -> GateResult:
    found = _fitting(gate, pair.changes, scale)
    limits = [_limit(gate, change) for change in found]
    margins = [_margin(gate, change, limit, by) for change, limit in zip(found, limits, strict=True)]
    place = min(range(len(found)), key=lambda number: margins[number])
    change, passed = found[place], margins[place] >= -_ROUNDING
    delta = change.difference
    return GateResult(
        text=gate.text,
        second=pair.second,
        by=by,
        figure=place_in_words(change),
        difference=delta_in_words(change),
        value=delta.value,
        low=delta.low,
        high=delta.high,
        passed=passed,
        note=_note(gate, change, limits[place], by, passed=passed),
    )


def place_in_words(change: Change) -> str:
    """`robust accuracy of mild under any attack at eps 2`."""
    words = change.figure + (f" of {change.part}" if change.part else "")
    words += (
        f" under {change.under}" if change.under != CLEAN else "" if "clean" in change.figure else " without an attack"
    )
    words += f" at eps {amount(change.eps)}" if change.eps is not None else ""
    return words + (f", {change.how}" if change.how else "")


def _fitting(gate: Gate, changes: Sequence[Change], scale: Scale) -> list[Change]:
    """The figures that a gate is about; at least one."""
    try:
        found = _among("figure", gate.figure, list(changes), lambda one: one.figure, gate)
    except InputError:
        # `clean acuracy` was read as a figure `acuracy` without an attack; it is named as it was written.
        clean = f"clean {gate.figure}" if gate.text.casefold().startswith("clean ") else gate.figure
        found = _among("figure", clean, list(changes), lambda one: one.figure, gate)
    found = _of(gate, found)
    under = gate.under or _usual(found)
    found = _among("under", under, found, lambda one: one.under, gate)
    if gate.how:
        found = _among("with", gate.how, found, lambda one: one.how, gate)
    if gate.eps is None:
        return found
    try:
        eps = budget(gate.eps, scale)
    except ValueError as error:
        raise InputError(f"gate '{gate.text}': eps: {error}.") from error
    known = sorted({one.eps for one in found if one.eps is not None})
    if eps not in known:
        listed = ", ".join(written_budget(one, scale) for one in known) or "none"
        raise InputError(f"gate '{gate.text}': eps {gate.eps} was not compared for it. Known are: {listed}.")
    return [one for one in found if one.eps == eps]


def _among(field: str, wanted: str, changes: list[Change], read: Any, gate: Gate) -> list[Change]:
    found = [one for one in changes if read(one).lower() == wanted.lower()]
    if not found:
        known = {read(one) for one in changes} - {""}
        raise InputError(f"gate '{gate.text}': {field}: '{wanted}' was not compared. {nearest(wanted, known)}")
    return found


def _of(gate: Gate, changes: list[Change]) -> list[Change]:
    each = gate.of.removeprefix("each ")
    if gate.of != each:
        found = [one for one in changes if one.by == each]
        if not found:
            named = ", ".join(sorted({one.by for one in changes} - {""})) or "none"
            raise InputError(f"gate '{gate.text}': it was not compared by {each}. Known are: {named}.")
        return found
    if not gate.of:
        whole = [one for one in changes if not one.part]
        if whole:
            return whole
        known = {one.part for one in changes}
        raise InputError(f"gate '{gate.text}': say which part is meant, or each. {nearest('', known)}")
    return _among("of", gate.of, changes, lambda one: one.part, gate)


def _usual(changes: Sequence[Change]) -> str:
    """What a figure is about if a gate does not say it: the worst case over all attacks where there is one."""
    under = {one.under: None for one in changes}
    return ANY if ANY in under else CLEAN if CLEAN in under else next(iter(under))


def _limit(gate: Gate, change: Change) -> float:
    """The limit in the figure's own unit."""
    if not change.better:
        raise InputError(
            f"gate '{gate.text}': '{change.figure}' is neither better when higher nor when lower, so it cannot have a "
            "gate."
        )
    if gate.unit == "point":
        if change.kind == "number":
            raise InputError(
                f"gate '{gate.text}': '{change.figure}' is no share. Write the limit in {change.unit or 'it'}."
            )
        return gate.limit / 100
    if change.kind == "share" and gate.limit:
        wrong = f", and '{gate.unit}' is not a unit of it" if gate.unit else ""
        raise InputError(
            f"gate '{gate.text}': '{change.figure}' is a share{wrong}. Write the limit in points, such as 1 point."
        )
    if gate.unit and gate.unit != change.unit:
        hint = f" {said}" if (said := nearest(gate.unit, [change.unit, "points"])).startswith("Did") else ""
        raise InputError(
            f"gate '{gate.text}': '{change.figure}' is in {change.unit or 'no unit'}, not in {gate.unit}.{hint}"
        )
    return gate.limit


def _gain(change: Change, *, worst: bool) -> float:
    """The change as a gain: above 0 is better. `worst` takes the end of the interval that is worse."""
    delta, sign = change.difference, 1.0 if change.better == "higher" else -1.0
    if delta.value is None:
        return -float("inf")
    ends = [sign * end for end in (delta.low, delta.high) if end is not None]
    return min(ends) if worst and ends else sign * delta.value


def _margin(gate: Gate, change: Change, limit: float, by: By) -> float:
    """How far within the limit; below 0 the gate fails."""
    gain = _gain(change, worst=by == "interval")
    return gain - limit if gate.better else gain + limit


def _note(gate: Gate, change: Change, limit: float, by: By, *, passed: bool) -> str:
    if change.difference.value is None:
        return "The figure is not defined, so the gate does not pass."
    if change.difference.low is None:
        return "There is no interval; the estimate was judged." if by == "interval" else "There is no interval."
    inside = _margin(gate, change, limit, "interval") >= -_ROUNDING
    if by == "interval":
        return "The whole 95% interval is within the limit." if passed else "The 95% interval reaches beyond the limit."
    if passed:
        return (
            "The whole 95% interval is within the limit too."
            if inside
            else "The 95% interval reaches beyond the limit: not shown."
        )
    least = -_gain(replace_sign(change), worst=True)
    beyond = least < (limit if gate.better else -limit)
    return (
        "The whole 95% interval is beyond the limit too."
        if beyond
        else "The 95% interval also holds values within the limit."
    )


def replace_sign(change: Change) -> Change:
    """The same change with the other direction as the better one."""
    return change.model_copy(update={"better": "lower" if change.better == "higher" else "higher"})
