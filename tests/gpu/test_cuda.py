"""On a real GPU: the verdicts of the processor, no waiting inside a step, and a choice that was timed there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from palpate import Classification, Linf, Tuning, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent, Climb
from palpate.audit.run.runner import audit
from palpate.victim.tuning import choose
from tests.audit import tiny, tiny_dense

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA: torch sees none here"),
]
PARTS = "\n[stability]\nimages = 0\n"
DEVICES = ("cpu", "cuda")


@pytest.fixture
def world() -> tuple[nn.Module, Tensor, Tensor]:
    """A network on the GPU, images there, and its own opinion of them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    network = nn.Sequential(network, nn.Linear(32, 3)).eval().cuda()
    images = torch.rand(16, 3, 32, 32).cuda()
    with torch.no_grad():
        return network, images, network(images).argmax(1)


@pytest.mark.parametrize("kind", ["classes", "segmentation", "volume", "detection", "multilabel"])
def test_verdicts_are_those_of_the_processor(tmp_path: Path, kind: str) -> None:
    said = [_verdicts(tmp_path / f"{place}-{device}", kind, device) for place, device in enumerate(DEVICES)]
    assert said[0] == said[1] and any(success for *_, success in said[0])


def _verdicts(folder: Path, kind: str, device: str) -> list[tuple[object, ...]]:
    """Attack, image, budget, and what is said of them."""
    plan = tiny.write(folder, tiny.PLAN + PARTS) if kind == "classes" else tiny_dense.write(folder, kind)
    plan = plan.model_copy(update={"run": plan.run.model_copy(update={"device": device})})
    assert audit(plan, folder / "run").status == "finished"
    columns = ["attack", "row", "eps", "eligible", "success"]
    shards = [pq.read_table(path, columns=columns) for path in (folder / "run" / "records").glob("*.parquet")]
    return sorted(tuple(line.values()) for shard in shards for line in shard.to_pylist())


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits for the device is an error: not at the first step, and not where beaten samples are looked for."""

    def lenient(name: str) -> None:
        work: Callable[..., object] = getattr(Climb, name)

        def allowed(climb: Climb, *given: object) -> object:
            before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("default")
            try:
                return work(climb, *given)
            finally:
                torch.cuda.set_sync_debug_mode(before)

        monkeypatch.setattr(Climb, name, allowed)

    enter = Climb._enter

    def entered(climb: Climb, step: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        enter(climb, step)

    run = Climb.run

    def ran(climb: Climb) -> None:
        try:
            run(climb)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Climb, "_enter", entered)
    monkeypatch.setattr(Climb, "run", ran)
    lenient("_drop_beaten")
    lenient("_score_last")


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("tuning", [Tuning(), Tuning(layout="channels_last", fold=True)], ids=["exact", "tuned"])
@pytest.mark.parametrize("recipe", [recipes.pgd, recipes.apgd_ce, recipes.mi, recipes.smia])
def test_no_step_waits_for_the_device(
    world: tuple[nn.Module, Tensor, Tensor], recipe: type[Ascent], tuning: Tuning
) -> None:
    network, images, labels = world
    attack = recipe(Linf(1e-6), steps=12)
    result = attack(Victim(network, (0, 1), tuning=tuning), Classification(3), images, labels)
    assert result.forwards.min() >= 12


def test_layout_and_arithmetic_are_timed_on_the_device(
    world: tuple[nn.Module, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images, _ = world
    timed: list[Tuning] = []

    def step_seconds(victim: Victim, sample: Tensor, tuning: Tuning) -> float:
        assert sample.is_cuda
        timed.append(tuning)
        return {"contiguous": 2.0, "channels_last": 1.0}[tuning.layout] / (2 if tuning.search == "bfloat16" else 1)

    monkeypatch.setattr("palpate.victim.tuning._step_seconds", step_seconds)
    chosen = choose(Victim(network, (0, 1)), images, mixed=True)
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    assert chosen.layout == "channels_last" and chosen.search == ("bfloat16" if native else "float32")
    assert len(timed) == 2 + native
