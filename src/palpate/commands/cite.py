"""`palpate cite`: what to cite for palpate and for an attack."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from palpate.console import echo, echo_lines

TITLE = "palpate: adversarial robustness audits for medical-image models"
_AUTHORS = "The palpate developers"

PAPERS = {
    "croce2020": (
        "Croce and Hein",
        "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Attacks",
    ),
    "carlini2019": ("Carlini and others", "On Evaluating Adversarial Robustness"),
    "andriushchenko2020": (
        "Andriushchenko and Croce and Flammarion and Hein",
        "Square Attack: A Query-Efficient Black-Box Adversarial Attack via Random Search",
    ),
    "chen2020": ("Chen and Jordan and Wainwright", "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack"),
    "papernot2016": (
        "Papernot and McDaniel and Goodfellow",
        "Transferability in Machine Learning: from Phenomena to Black-Box Attacks using Adversarial Samples",
    ),
    "moosavi2017": (
        "Moosavi-Dezfooli and Fawzi and Fawzi and Frossard",
        "Universal Adversarial Perturbations",
    ),
    "goodfellow2015": ("Goodfellow and Shlens and Szegedy", "Explaining and Harnessing Adversarial Examples"),
    "kurakin2017": ("Kurakin and Goodfellow and Bengio", "Adversarial Examples in the Physical World"),
    "madry2018": ("Madry and others", "Towards Deep Learning Models Resistant to Adversarial Attacks"),
    "dong2018": ("Dong and others", "Boosting Adversarial Attacks with Momentum"),
    "lin2020": ("Lin and others", "Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks"),
    "dong2019": (
        "Dong and others",
        "Evading Defenses to Transferable Adversarial Examples by Translation-Invariant Attacks",
    ),
    "xie2019": ("Xie and others", "Improving Transferability of Adversarial Examples with Input Diversity"),
    "pintor2021": (
        "Pintor and Roli and Brendel and Biggio",
        "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints",
    ),
    "rony2019": (
        "Rony and Hafemann and Oliveira and Ben Ayed and Sabourin and Granger",
        "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses",
    ),
    "rony2023": (
        "Rony and Pesquet and Ben Ayed",
        "Proximal Splitting Adversarial Attack for Semantic Segmentation",
    ),
    "qi2021": ("Qi and Gong and Song and Ma and Zheng", "Stabilized Medical Image Attacks"),
    "athalye2018": ("Athalye and Engstrom and Ilyas and Kwok", "Synthesizing Robust Adversarial Examples"),
    "milletari2016": ("Milletari and Navab and Ahmadi", "V-Net"),
    "gu2022": (
        "Gu and Zhao and Tresp and Torr",
        "SegPGD: An Effective and Efficient Adversarial Attack for Evaluating and Boosting Segmentation Robustness",
    ),
    "agnihotri2024": (
        "Agnihotri and Jung and Keuper",
        "CosPGD: An Efficient White-Box Adversarial Attack for Pixel-Wise Prediction Tasks",
    ),
    "ozbulak2019": (
        "Ozbulak and Van Messem and De Neve",
        "Impact of Adversarial Examples on Deep Learning Models for Biomedical Image Segmentation",
    ),
    "xie2017": (
        "Xie and Wang and Zhang and Zhou and Xie and Yuille",
        "Adversarial Examples for Semantic Segmentation and Object Detection",
    ),
    "hanif2023": (
        "Hanif and Naseer and Khan and Shah and Khan",
        "Frequency Domain Adversarial Training for Robust Volumetric Medical Segmentation",
    ),
}
"""Authors as BibTeX wants them, and title, of each paper that the catalogue names; a key ends with the year."""


def cite(
    attack: Annotated[str | None, typer.Argument(help="An attack; by default only palpate.")] = None,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="As BibTeX entries.")] = False,
) -> None:
    """What to cite for palpate and for an attack."""
    from palpate import __version__, catalog

    entry = catalog.find(attack) if attack else None
    if bibtex:
        echo_lines(
            f"@software{{palpate,\n  author = {{{{{_AUTHORS}}}}},\n  title = {{{TITLE}}},\n"
            f"  version = {{{__version__}}}\n}}"
        )
        if entry:
            echo_lines("\n".join(entries(entry.name, entry.reference)))
        return
    echo(f"{_AUTHORS}, {TITLE}, version {__version__}.")
    if entry:
        echo(entry.reference)


def entries(name: str, reference: str) -> list[str]:
    """A BibTeX entry for each paper that a reference names.

    The reference of an attack of another package gives one entry with its text as the note.
    """
    found = [key for key, (_, title) in PAPERS.items() if title in reference]
    if not found:
        return [
            f"@misc{{palpate-{name},\n  author = {{See the note}},\n  title = {{{name}}},\n  note = {{{reference}}}\n}}"
        ]
    return [_entry(key, reference) for key in found]


def _entry(key: str, reference: str) -> str:
    authors, title = PAPERS[key]
    where = reference.partition(title)[2].partition(";")[0].strip(" ,.")
    arxiv = re.search(r"arXiv:([\d.]+\d)", where)
    more = f"  eprint = {{{arxiv[1]}}},\n  archiveprefix = {{arXiv}},\n" if arxiv else ""
    year = key[-4:]
    return (
        f"@misc{{{key},\n  author = {{{authors}}},\n  title = {{{{{title}}}}},\n"
        f"  howpublished = {{{where}}},\n{more}  year = {{{year}}}\n}}"
    )
