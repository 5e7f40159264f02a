"""What an audit shows in a few plain sentences, for those who run the demo; read only from its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from palpate.report.model.words import in_unit, percent

_CLASSES = ("binary", "multiclass", "ordinal")


def lessons(results: Mapping[str, Any]) -> list[str]:
    """Sentences on a run: what was beaten, what random changes do in comparison, and what attacks with a goal reach.

    Args:
        results: `results.json`, read.
    """
    verdict = results["verdict"]
    if verdict["eps"] is None:
        return [verdict["sentence"]]
    if results["task"]["kind"] in _CLASSES:
        return [verdict["sentence"], *_noise(results, "correct"), *verdict["details"][1:2]]
    return [verdict["sentence"], *verdict["details"][:1], *_noise(results, "acceptable"), *_goals(results)]


def _noise(results: Mapping[str, Any], word: str) -> Iterator[str]:
    images = "attackable images" if results["clean"]["nothing_to_lose"] else "images"
    for attack in results["attacks"]:
        for point in attack["points"]:
            if attack["catalog"] == "noise" and point["eps"] == results["verdict"]["eps"] and point["robust_accuracy"]:
                left = percent(point["robust_accuracy"]["value"])
                yield (
                    f"Random changes of the same size leave {left} of the {images} {word}: only a search finds the "
                    "changes that beat the others."
                )


def _goals(results: Mapping[str, Any]) -> Iterator[str]:
    """How often each attack with a goal reaches it, at the largest budget."""
    for attack in results["attacks"]:
        if attack["goal"] == "untargeted" or not attack["points"]:
            continue
        last = attack["points"][-1]
        share, eps = last["success_rate"], in_unit(last["eps"], results["data"].get("unit", ""))
        if share["total"]:
            yield f"The goal “{attack['goal']}” is reached at eps {eps} on {share['count']} of {share['total']} images."
