"""The result in the terminal: the verdict, one table of all attacks, the clinical direction, and warnings."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palpate.report.compute.parts import PartTable, panels
from palpate.report.compute.reading import UNTARGETED
from palpate.report.compute.results import measure
from palpate.report.draw.axis import BudgetAxis, scale_of
from palpate.report.draw.figures import worst_of
from palpate.report.model.description import read_description
from palpate.report.model.schema import AttackResults, Results
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording, reading
from palpate.report.model.words import NOTHING, amount, duration, interval, percent, share_of
from palpate.report.page import stages
from palpate.report.page.first import gate
from palpate.report.page.terminal_artefacts import print_artefacts
from palpate.report.page.terminal_certificates import print_certificates
from palpate.report.page.views import by_gravity, complete_attacks, outside
from palpate.storage import kept
from palpate.storage.runs import RunFolder


def show(run: RunFolder, console: Console, *, results: Results | None = None, brief: bool = False) -> None:
    """Print the result of a run.

    Texts from files are printed unchanged: markup in them has no effect, control characters are replaced.

    Args:
        run: the run folder.
        console: where to print.
        results: its figures, where they were measured already.
        brief: print the sentence and the gates alone.

    Raises:
        StorageError: the run cannot be read.
    """
    results = measure(run) if results is None else results
    if brief:
        _unfinished(results, console)
        console.print(Text(results.verdict.sentence))
        _gates(results, console)
        return
    _head(results, console)
    scale = scale_of(results)
    if scale.eps:
        console.print(_untargeted(results, scale))
        _notes(results, scale, console)
        for table in _aimed(results, scale):
            console.print(table, "")
        if results.worst_directions:
            console.print(_directions(results, scale))
        _survival(results, console)
        _stability(results, console)
        for panel in panels(results, scale.eps):
            if panel.leading:
                console.print(_panel(panel, Wording(results.task), scale), "")
    print_artefacts(results, console)
    print_certificates(results, console)
    _trust(results, console)
    if gone := kept.sentence(kept.lost(run.path, read_description(run).files, exports=False)):
        console.print(Text(gone, style="bold"))
    if run.report.is_file():
        console.print(Text(f"Report: {run.report}"), soft_wrap=True)


def _unfinished(results: Results, console: Console) -> None:
    if results.status != "finished":
        done = f"{complete_attacks(results)} of {len(results.attacks)} attacks are complete"
        if complete_attacks(results) == len(results.attacks):
            done = "all attacks are complete, but not what follows them, such as artefacts, traces or probes"
        console.print(Text(f"This run is unfinished: {done}. The figures are provisional.", style="bold"))


def _head(results: Results, console: Console) -> None:
    console.print(Text(results.title, style="bold"))
    _unfinished(results, console)
    console.print(Text(results.verdict.sentence))
    for detail in results.verdict.details:
        console.print(Text(detail, style="dim"))
    if results.verdict.basis:
        console.print(Text(results.verdict.basis, style="dim"))
    if results.artefacts is not None:
        console.print(Text(results.artefacts.sentence))
        if results.artefacts.side_by_side:
            console.print(Text(results.artefacts.side_by_side))
    _gates(results, console)
    console.print()


def _gates(results: Results, console: Console) -> None:
    for one in map(gate, results.gates):
        word, colour = ("passed", "green") if one["passed"] else ("failed", "red")
        console.print(Text.assemble(f"{one['name']}: ", (word, colour), (f"  ({one['measured']})", "dim")))


def _table(title: str, scale: BudgetAxis, *leading: str) -> Table:
    by = "" if title.endswith("by eps") else ", by eps"
    unit = f" in {scale.unit}" if scale.unit else ""
    share = f", and as a share of the {'window' if scale.window else 'range'}" if scale.shares else ""
    heading = Text(f"{title}{by}{unit}{share}")
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in leading:
        table.add_column(Text(name), overflow="fold")
    for eps in scale.eps:
        head = Text(f"{amount(eps)}\n{share_of(eps / scale.extent)}" if scale.shares else amount(eps))
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _row(figures: dict[float, Figure | None], scale: BudgetAxis, style: str = "") -> list[Text]:
    found = [figures.get(eps) for eps in scale.eps]
    return [Text(percent(figure.value) if figure else NOTHING, style=style) for figure in found]


def _untargeted(results: Results, scale: BudgetAxis) -> Table:
    clean = percent(results.clean.attackable.value)
    table = _attack_table(f"{Wording(results.task).robust}, {clean} without an attack, by eps", scale)
    worst = worst_of(results)
    if worst is not None:
        cells = _row({point.eps: point.figure for point in worst.points}, scale, "bold")
        median = Text(amount(worst.smallest_eps.median), style="bold")
        table.add_row(Text("worst case", style="bold"), *cells, median, Text(""))
    for attack in results.attacks:
        if attack.goal == UNTARGETED:
            _add(table, attack, {point.eps: point.robust_accuracy for point in attack.points}, scale)
    return table


def _aimed(results: Results, scale: BudgetAxis) -> list[Table]:
    tables = []
    for goal in dict.fromkeys(attack.goal for attack in results.attacks if attack.goal != UNTARGETED):
        table = _attack_table(f'Success rate of the goal "{goal}" by eps', scale)
        for attack in results.attacks:
            if attack.goal == goal:
                _add(table, attack, {point.eps: point.success_rate for point in attack.points}, scale)
        tables.append(table)
    return tables


def _attack_table(title: str, scale: BudgetAxis) -> Table:
    table = _table(title, scale, "attack")
    table.add_column(Text("median\neps"), justify="right", no_wrap=True)
    table.add_column(Text("time"), justify="right", no_wrap=True)
    return table


def _add(table: Table, attack: AttackResults, cells: dict[float, Figure | None], scale: BudgetAxis) -> None:
    style = "dim" if attack.outside_budget else ""
    name = f"{attack.name} †" if attack.outside_budget else attack.name
    costs = [
        Text(amount(attack.smallest_eps.median), style=style),
        Text(duration(attack.seconds if attack.points else None), style=style),
    ]
    table.add_row(Text(name, style=style), *_row(cells, scale, style), *costs)


def _notes(results: Results, scale: BudgetAxis, console: Console) -> None:
    if outside(results):
        console.print(Text("† leaves its budget. Do not compare these rows at equal eps.", style="dim"))
    worst = worst_of(results)
    if worst is not None and worst.points:
        last = worst.points[-1]
        text = f"95% interval of the worst case at eps {scale.written(last.eps)}: {interval(last.figure)}."
        console.print(Text(text, style="dim"))
    for attack in results.attacks:
        if said := stages.sentence(attack):
            console.print(Text(f"{attack.name}: {said}", style="dim"))
    console.print()


def _directions(results: Results, scale: BudgetAxis) -> Table:
    table = _table("Clinical direction, worst case over all attacks, by eps", scale, "direction", "clean")
    for name in ("missed_disease", "invented_disease"):
        clean: Figure = getattr(results.clean.directions, name)
        points = {row.eps: getattr(row.directions, name) for row in results.worst_directions}
        table.add_row(Text(name.replace("_", " ")), Text(percent(clean.value)), *_row(points, scale))
    return table


def _survival(results: Results, console: Console) -> None:
    if results.survival.sentences:
        console.print()
    for sentence in results.survival.sentences:
        console.print(Text(sentence))
    if results.survival.sentences and not results.task.classification:
        console.print()


def _stability(results: Results, console: Console) -> None:
    if results.stability.state == "traced":
        console.print(Text(results.stability.sentences[0]))
    for one in results.stability.attacks:
        if one.state == "damaged":
            console.print(Text(f"{one.attack}: {one.sentence}", style="bold"))


def _panel(panel: PartTable, words: Wording, scale: BudgetAxis) -> Table:
    """One figure of each structure, finding or class of boxes: without an attack, and the worst at each budget."""
    leading = (words.part, "clean") if panel.clean else (words.part,)
    table = _table(f"{panel.title}, {panel.order} of each image over all attacks", scale, *leading)
    for row in panel.rows:
        cells = [NOTHING if one is None else reading(row.series, one.figure) for one in row.worst]
        before = [reading(row.series, row.series.clean)] if panel.clean else []
        table.add_row(*map(Text, (row.part, *before, *cells)))
    return table


def _trust(results: Results, console: Console) -> None:
    validity = results.validity
    console.print()
    for goal in validity.goals:
        of = f" of {goal.goal}" if len(validity.goals) > 1 else ""
        for name, degree, reasons in (
            ("Attack quality", goal.quality, goal.quality_reasons),
            ("Precision", goal.precision, goal.precision_reasons),
        ):
            console.print(Text.assemble(f"{name}{of}: ", (degree, "bold"), f"  {' '.join(reasons)}"))
        for one in goal.indicators:
            console.print(Text.assemble((f"{one.name:>7}", "bold"), f"  {one.fix}"))
    for check in by_gravity(validity.checks):
        if check.level in {"failure", "warning"}:
            console.print(Text.assemble((f"{check.level:>7}", "bold"), f"  {check.subject}: {check.text}"))
