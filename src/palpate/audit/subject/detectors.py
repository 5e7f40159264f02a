"""Detectors that reject images: their threshold from the clean images of the audit, and what that costs."""

from __future__ import annotations

import torch

from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.defences.reject import Reject
from palpate.errors import InputError
from palpate.models.faults import refusal
from palpate.usercode import ModelError


def set_thresholds(subject: Subject, room: Room) -> list[AuditFinding]:
    """Set the threshold of a detector that is the first defence, and say how many clean images it rejects.

    Raises:
        InputError: the model fails on the images.
    """
    victim = subject.victim
    if not victim.defences or not isinstance(victim.defences[0], Reject):
        return []
    detector, inside = victim.defences[0], victim.defences[1:]
    victim.defences = inside
    found = []
    with victim, torch.no_grad():
        for batch in subject.batches(range(len(subject.table)), room.wanted):
            for _, scores in room.each(batch, lambda rows: _scores(subject, detector, rows)):
                found.append(scores.cpu())
    scores = torch.cat(found)
    detector = detector.calibrated(scores)
    victim.defences = (detector, *inside)
    assert detector.threshold is not None
    rejected, count = int((scores > detector.threshold).sum()), len(scores)
    text = (
        f"The detector rejects {rejected} of {count} clean images ({rejected / count:.1%}), at a threshold of "
        f"{detector.threshold:g}. They get no answer and count as wrong. A rejected adversarial image counts as not "
        "beaten."
    )
    return [AuditFinding("note", "rejected images", text)]


def _scores(subject: Subject, detector: Reject, rows: tuple[int, ...]) -> torch.Tensor:
    images = subject.images(rows)
    try:
        return detector.score(images, subject.victim.judge)
    except ModelError as error:
        raise InputError(f"{subject.table[rows[0]].name}: {refusal(error.cause, images.shape)}") from error
