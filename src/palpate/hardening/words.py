"""The result of a training in sentences, for the terminal."""

from __future__ import annotations

from palpate.audit.plan.tasks import score_words
from palpate.hardening.material import Material
from palpate.hardening.run import Hardened
from palpate.units import amounts, counted


def sentences(hardened: Hardened) -> list[str]:
    """What was trained, which epoch was chosen, what it gained and cost on the validation images, and where it is.

    The word *hardened* is not used here: only the audits before and after can allow it.
    """
    trained, material = hardened.trained, hardened.material
    rows = {row.epoch: row for row in trained.epochs}
    first, best = rows[0], rows[trained.best]
    eps = amounts(material.eps, material.training.scale)[0]
    name = score_words(material.plan.task)
    lines = [*material.notes]
    if trained.best == 0:
        point = 'harden.operating_point = "choose", ' if _keeps_confidence(material) else ""
        lines.append(
            "No epoch was more robust without losing too much clean score, so the weights are those from before. "
            f"Try {point}a third of the rate (harden.rate = {material.settings.rate / 3:.1g}), some images as they are "
            "(harden.settings = {clean_share = 0.5}), another recipe, a smaller budget, or allow a larger loss "
            "(harden.lose_at_most)."
        )
    else:
        lines.append(
            f"Epoch {trained.best} was chosen. On {counted(len(material.rows.validation), 'validation image')}, under "
            f"the attack that chooses the epoch, at eps {eps}: {name} {first.robust:.3f} before, {best.robust:.3f} "
            f"after. Without an attack: {first.clean:.3f} before, {best.clean:.3f} after."
        )
    assert hardened.saved is not None
    if hardened.saved.confidence is not None:
        lines.append(f"Boxes count from a confidence of {hardened.saved.confidence:g} now: use it with these weights.")
    if hardened.plan is not None:
        lines += [*hardened.kept, f"Weights: {hardened.saved.path}", f"To audit them: palpate audit {hardened.plan}"]
    return lines


def _keeps_confidence(material: Material) -> bool:
    """Whether boxes were scored at the plan's confidence, which training may lower."""
    return material.plan.task.kind == "detection" and material.settings.operating_point == "keep"
