"""Which images are probed and with what, and that the probes cost no more than the attacks."""

from pathlib import Path

import pytest

from palpate.audit.plan.items import items
from palpate.audit.run.runner import audit
from palpate.audit.work import probing
from palpate.audit.work.traces import traceable
from palpate.quality.probes import FREE, STARTS
from palpate.report.compute.results import measure
from palpate.storage.runs import RunFolder
from tests.audit import tiny

HEAD, _, REST = tiny.PLAN.replace('["6/255", "16/255"]', '["0.5/255"]').partition("[[attacks]]")
HEAD = HEAD.replace('table = "labels.csv"', 'table = "labels.csv"\nlimit = 6')
FEW = "[survival]\nsaved = false\nafter = []\n"
RUN = (
    REST[REST.index("[run]") : REST.index("[quality]")]
    .replace("batch = 3", "batch = 12")
    .replace("shard = 5", "shard = 12")
)


def probed(folder: Path, attacks: str, quality: str = "") -> tuple[RunFolder, dict]:
    traced = f"[stability]\nimages = {int('strongest' in attacks)}\nstarts = 2\n"
    plan = tiny.rewrite(folder, f"{HEAD}{attacks}{FEW}{traced}{quality}{RUN}")
    run = RunFolder(folder / "run")
    audit(plan, run.path, update=True)
    (goal,) = run.describe()["quality"]["goals"]
    return run, goal


def test_probes_spend_at_most_their_share_of_the_passes_of_the_attacks(tmp_path: Path) -> None:
    tiny.write(tmp_path)
    attacks = '[[attacks]]\nattack = "pgd"\nsteps = 40\n'
    run, goal = probed(tmp_path, attacks)
    (attack,) = measure(run).attacks
    assert goal["spent"] == attack.forwards + attack.backwards > 0
    # So little was spent that the share pays for less than the 2 images that are always probed.
    assert goal["spent"] // goal["each"] < 2 == len(goal["rows"]) < goal["survivors"]
    judged = measure(run).validity.goals[0]
    assert judged.quality == "medium" and "Only 2 images were probed" in judged.quality_reasons[0]
    # With a larger share, as many images as it pays for; no record of an attack changes.
    records = tiny.shards(run.path)
    share = 5.5 * goal["each"] / goal["spent"]
    run, goal = probed(tmp_path, attacks, f"[quality]\nshare = {share}\n")
    assert len(goal["rows"]) == 5 < goal["survivors"] and tiny.shards(run.path) == records
    assert measure(run).validity.goals[0].quality == "high"


def test_probes_of_an_earlier_palpate_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(tmp_path)
    attacks = '[[attacks]]\nattack = "pgd"\nsteps = 3\n'
    with monkeypatch.context() as patch:
        patch.setattr(probing, "_counts", lambda plan, paid: (4, 4))
        _, before = probed(tmp_path, attacks)
    assert len(before["rows"]) == 4 and probed(tmp_path, attacks)[1] == before


def test_probes_leave_out_what_the_stages_of_an_attack_have_done(tmp_path: Path) -> None:
    tiny.write(tmp_path)
    run, goal = probed(tmp_path, '[[attacks]]\nattack = "strongest"\n', "[quality]\nimages = 2\n")
    assert goal["done"] == [STARTS, FREE] and goal["by"] == "strongest" and len(goal["rows"]) == 2
    assert not {one["probe"] for one in goal["probes"]} & set(goal["done"])
    assert 2 * goal["each"] < goal["spent"] / 4
    assert "margin" in goal["probes"][1]["attack"], "more steps are those of its first climb"
    # The same climb is traced, step by step.
    (traced,) = run.describe()["stability"]["items"]
    assert traced["stage"] == "margin" and run.describe()["stability"]["untraced"] == []
    (shown,) = measure(run).stability.attacks
    assert (shown.state, shown.steps) == ("traced", 40) and "Its stage 'margin' was traced." in shown.sentence


def test_a_model_without_gradients_has_no_steps_to_trace(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path, f'{HEAD}[[attacks]]\nattack = "strongest"\n[[attacks]]\nattack = "noise"\n')
    strongest, noise = items(plan)
    assert traceable(strongest) and not traceable(strongest, blind=True) and not traceable(noise)
