"""The parity tables as text, and the page of the documentation that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.parity.compare import OURS, PEER, STRONGEST, cost_ratio, missed, rows
from benchmarks.parity.peers import AUTOATTACK

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "parity.md"
_NORMS = {"linf": "L-inf", "l2": "L2", "l1": "L1"}
Entry = Mapping[str, Any]


def short(one: Entry) -> str:
    """One attack in a line of the progress."""
    return (
        f"{sum(one['beaten'])} of {len(one['beaten'])}, {one['forwards']:.0f} + {one['backwards']:.0f} passes, "
        f"{one['seconds']:.1f} s"
    )


def summary(table: Sequence[Entry]) -> str:
    """One line for each victim and norm: what `strongest` beats, what it misses, what it costs."""
    beside = any(AUTOATTACK in one["attacks"] for one in table)
    head = ["network", "norm", "eps", "images", "all peers together", "`strongest`"]
    head += ["a peer beats, `strongest` does not", "`strongest` alone", "its passes"]
    head += ["AutoAttack's passes", "share"] if beside else []
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for one in table:
        attacks = one["attacks"]
        theirs = [any(beaten) for beaten in zip(*_won(attacks, PEER), strict=True)] or [False] * one["images"]
        mine = attacks[STRONGEST]["beaten"]
        cells = (
            f"{one['victim']}, {one['classes']} classes",
            _NORMS[one["norm"]],
            _eps(one),
            str(one["images"]),
            str(sum(theirs)),
            str(sum(mine)),
            str(len(missed(attacks, PEER))),
            str(sum(a and not b for a, b in zip(mine, theirs, strict=True))),
            _passes(attacks[STRONGEST]),
            *(_auto(attacks) if beside else ()),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def tables(table: Sequence[Entry]) -> str:
    """The summary, then every attack on every victim."""
    parts = ["### Summary", "", summary(table)]
    for one in table:
        title = f"{one['victim']}, {one['classes']} classes, {_NORMS[one['norm']]}, eps {_eps(one)}"
        parts += [f"### {title}, {one['images']} images", "", _each(one["attacks"])]
    return "\n".join(parts)


def _each(attacks: Mapping[str, Entry]) -> str:
    lines = [
        "| attack | beaten | nobody else beats | `strongest` does not beat | forwards | backwards | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows(attacks):
        name = f"`{row.name}`" if row.side == OURS else row.name
        passes = f"{row.forwards:.0f} | {row.backwards:.0f} | {row.seconds:.1f}"
        lines.append(f"| {name} | {row.beaten} | {row.alone} | {row.missed} | {passes} |")
    text = "\n".join(lines) + "\n"
    failed = [f"- {name} gives nothing here: `{one['error']}`" for name, one in attacks.items() if "error" in one]
    return text + ("\n" + "\n".join(failed) + "\n" if failed else "")


def _won(attacks: Mapping[str, Entry], side: str) -> list[Sequence[bool]]:
    return [one["beaten"] for one in attacks.values() if one["side"] == side and "beaten" in one]


def _auto(attacks: Mapping[str, Entry]) -> tuple[str, str]:
    """Passes of AutoAttack, and those of `strongest` as a share of them."""
    ratio = cost_ratio(attacks, AUTOATTACK)
    if ratio is None:
        return ("fails" if "error" in attacks.get(AUTOATTACK, {}) else "not run"), ""
    return _passes(attacks[AUTOATTACK]), f"{ratio:.0%}"


def _passes(one: Entry) -> str:
    return f"{one['forwards'] + one['backwards']:.0f}"


def _eps(one: Entry) -> str:
    return f"{one['eps'] * 255:g}/255" if one["norm"] == "linf" else f"{one['eps']:g}"


def write(results: Mapping[str, Any]) -> None:
    """Put the tables into the page, between its marks."""
    text = PAGE.read_text()
    for part, table in results.items():
        begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
        head, tail = text.split(begin)[0], text.split(end)[1]
        text = f"{head}{begin}\n\n{tables(table)}\n{end}{tail}"
    PAGE.write_text(text)
