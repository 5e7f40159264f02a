"""What the columns of an unknown table mean: classes, one column for each class, findings, or lists of findings.

An image has one class, but it may show several findings. If names and values do not decide between columns, the choice
is marked as doubtful, and the user is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from palpate.data.annotations.annotation import UNKNOWN
from palpate.data.annotations.findings import finding, is_no_finding, separated
from palpate.data.annotations.labels import FindingLabels
from palpate.data.inspect.box_columns import box_names
from palpate.data.inspect.columns import LABEL_NAMES, MOST_CLASSES, is_blank, is_no_label, named, rank
from palpate.data.sheets import Line

SEPARATORS = ("|", ";", ",")
_MOST_FINDINGS = 250

Columns = Mapping[str, Counter[str]]
"""How often each text occurs in each column."""


@dataclass(frozen=True)
class Choice:
    """The column of classes.

    Attributes:
        column: its name.
        others: other possible columns.
        asked: whether only its few values suggest it, so that the user must decide.
    """

    column: str
    others: tuple[str, ...] = ()
    asked: bool = False


def has_boxes(header: Sequence[str]) -> bool:
    """Whether the columns are those of boxes, whose lines are not images."""
    return box_names(header) is not None


def classes_of(columns: Columns, lines: Sequence[Line]) -> Choice | tuple[str, ...] | None:
    """The column of classes, or one column for each class; None if images do not have a single class."""
    if finding_lists(columns) is not None:
        return None
    choice = class_column(columns)
    if choice is not None and rank(choice.column, LABEL_NAMES) < len(LABEL_NAMES):
        return choice
    if hot := one_hot_columns(columns, lines):
        return hot
    findings = finding_columns(columns)
    if findings and (choice is None or choice.asked or choice.column in findings):
        return None
    return choice


def class_column(columns: Columns) -> Choice | None:
    """The column of classes among some columns, or None if none is possible."""
    several = {
        column: values
        for column, values in columns.items()
        if not any(map(is_blank, values)) and 2 <= len(values) <= MOST_CLASSES and not is_no_label(column)
    }
    few = [column for column, values in several.items() if len(values) <= values.total() // 2]
    # In a table of a few studies a class may occur once: then the name of the column must show what it is.
    exact = [column for column in several if rank(column, LABEL_NAMES) < len(LABEL_NAMES)]
    known = named(LABEL_NAMES, few) or named(LABEL_NAMES, exact)
    if known is not None:
        others = tuple(column for column in exact if column != known)
        # Other columns may group the images in other ways, and only the user knows which one the model predicts.
        groups = sorted(several[known].values())
        return Choice(known, others, asked=any(sorted(several[column].values()) != groups for column in others))
    return Choice(few[0], tuple(few[1:]), asked=len(few) > 1) if few else None


def finding_columns(columns: Columns) -> tuple[str, ...]:
    """The columns that each say whether a finding is present; empty if there are fewer than two.

    Columns of zeros only, or of ones only, count too if they are next to such columns: a rare finding.
    """
    held = {column: {finding(text) for text in values} for column, values in columns.items() if not is_no_label(column)}
    fitting = [column for column, words in held.items() if None not in words and any(columns[column])]
    judged = {column for column in fitting if len(held[column]) > 1 or UNKNOWN in held[column]}
    complete = [column for column in judged if held[column] >= {0, 1}]
    if not complete or len(judged) < 2:
        return ()
    for order in (list(columns), list(columns)[::-1]):
        before = ""
        for column in order:
            if before in judged and column in fitting:
                judged.add(column)
            before = column
    return tuple(column for column in columns if column in judged)


def one_hot_columns(columns: Columns, lines: Sequence[Line]) -> tuple[str, ...]:
    """Columns of 0 and 1 with exactly one 1 in each line: one for each class; empty if there are none."""
    held = [
        column
        for column, values in columns.items()
        if not is_no_label(column) and {finding(text) for text in values} <= {0, 1} and "" not in values
    ]
    used = [column for column in held if any(finding(text) == 1 for text in columns[column])]
    single = all(sum(finding(line.cells[column]) == 1 for column in held) == 1 for line in lines)
    return tuple(held) if len(used) > 1 and single else ()


def finding_lists(columns: Columns) -> tuple[FindingLabels, tuple[str, ...]] | None:
    """The column whose cells list findings, and the findings, sorted; None if there is none.

    It is recognised by its name, and by words that occur in several combinations.
    """
    for column, values in columns.items():
        if not _named_as_label(column):
            continue
        bracketed = any(text.startswith("[") and text.endswith("]") for text in values)
        for separator in (",",) if bracketed else SEPARATORS:
            if (found := _lists(column, separator, values, bracketed)) is not None:
                return found
    return None


def _lists(
    column: str, separator: str, values: Counter[str], bracketed: bool
) -> tuple[FindingLabels, tuple[str, ...]] | None:
    split = {text: separated(text, separator) for text in values}
    several = [words for words in split.values() if len(words) > 1]
    cells = Counter(word for words in split.values() for word in words)
    # Words that only occur together are one name with a comma in it.
    apart = any(cells[word] > 1 for words in several for word in words)
    if not (bracketed or (several and apart)) or not 2 <= len(cells) <= _MOST_FINDINGS:
        return None
    if any(word.replace(".", "").isdigit() for word in cells):
        return None
    ignored = [word for word in cells if is_no_finding(word)] + [""] * ("" in values)
    return FindingLabels(None, column, separator, tuple(sorted(ignored))), tuple(sorted(set(cells) - set(ignored)))


def _named_as_label(column: str) -> bool:
    words = column.lower().replace("_", " ").replace("-", " ").split()
    return any(word.rstrip("s") in ("label", "finding", "diagnosi", "diagnose", "clas", "disease") for word in words)
