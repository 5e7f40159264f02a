"""How an attack runs, step by step: `python examples/tracing.py`. Offline, on digital phantoms, in seconds."""

from __future__ import annotations

import torch

import palpate
from palpate.attacks import recipes
from palpate.data.phantoms import fundus_set
from palpate.models.demo import fundus as demo
from palpate.stability import spread_starts, trace

images, grades = fundus_set(4, seed=2026, size=demo.SIZE)
images = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # stored values, 0..255
grades = torch.from_numpy(grades)
victim = palpate.Victim(demo.load(), (0, 255), preprocess=palpate.Preprocess(mean=demo.MEAN, std=demo.STD))
task, threat = palpate.Classification(5), palpate.Linf(2.0)

for name, attack in (("pgd", recipes.pgd(threat, steps=10)), ("smia", recipes.smia(threat, steps=10))):
    found = trace(attack, victim, task, images, grades, starts=2, smoothed=True)
    print(f"{name}: {int(found.eligible.sum())} images, medians over images and starts")
    print("step  margin  KL to last  KL to smoothed  cosine of steps")
    for step in range(found.steps + 1):
        parts = (found.margin, found.kl_final, found.kl_smoothed, found.cos_step)
        margin, last, smoothed, cosine = (float(part[..., step].nanmedian()) for part in parts)
        print(f"{step:4}  {margin:6.2f}  {last:10.2e}  {smoothed:14.2e}  {cosine:15.2f}")
    print(f"share of the last change in the plane of first and last step: {float(found.plane_share.nanmedian()):.2f}")
    apart = float(spread_starts(found.last, found.draws).nanmean())
    print(f"its spread over starts, per pixel: {apart:.2f} values\n" if found.draws else "it draws nothing\n")
