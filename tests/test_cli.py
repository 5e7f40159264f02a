import errno
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import palpate
from palpate import catalog, cli
from palpate.artefacts import catalog as artefacts
from palpate.audit.demo import folder as demo
from palpate.audit.engines import bench
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.plan import load_plan
from palpate.audit.preview.preview import preview
from palpate.audit.run import after, runner
from palpate.commands import demo as demo_command
from palpate.commands import harden as harden_command
from palpate.commands.beside import Beside
from palpate.storage.runs import RunFolder
from tests.audit.tiny import PLAN, write

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "numpy", "pyarrow", "matplotlib", "scipy", "monai", "PIL", "jinja2"}
HEAD = PLAN[: PLAN.index("[[attacks]]")]
TAIL = '[run]\nlayout = "contiguous"\n'

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command line in this process: exit status, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def planned(*attacks: str) -> str:
    return HEAD + "".join(f'[[attacks]]\nattack = "{name}"\n' for name in attacks) + TAIL


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan of one attack that takes a event."""
    write(tmp_path / "tiny", planned("fgsm"))
    return tmp_path / "tiny" / "plan.toml"


# -- what is known -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"], ["--version"], ["list", "attacks"], ["cite"]])
def test_quick_answers_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; sys.argv = {['palpate', *arguments]!r}\nfrom palpate.cli import main\ntry: main()\nfinally: "
    code += "print('LOADED', *(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.partition("LOADED")[2].split())
    # Some releases of typer read a command's own arguments with pydantic.
    assert "palpate" in loaded and not loaded & (HEAVY | ({"pydantic"} if arguments == ["--help"] else set()))
    assert done.stdout


def test_python_m_palpate_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "palpate", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["palpate", palpate.__version__]


def test_every_attack_is_listed(call: Call) -> None:
    status, out, _ = call("list", "attacks")
    assert status == 0
    for entry in catalog.attacks().values():
        assert entry.name in out and entry.summary in out


def test_attacks_as_json_are_the_catalog(call: Call) -> None:
    _, out, _ = call("list", "attacks", "--json")
    listed = {entry.pop("name"): entry for entry in json.loads(out)}
    assert set(listed) == set(catalog.attacks())
    assert listed["smia"].pop("parameters")["weight"] == 0.5
    assert {"name": "smia", **listed["smia"]} == json.loads(json.dumps(asdict(catalog.find("smia"))))


def test_one_attack_shows_its_parameters(call: Call) -> None:
    _, out, _ = call("list", "attacks", "pgd")
    for name in catalog.parameters(catalog.find("pgd")):
        assert name in out


def test_an_unknown_attack_gets_the_nearest_name(call: Call) -> None:
    for arguments in (["list", "attacks", "pdg"], ["cite", "pdg"]):
        assert call(*arguments) == (2, "", "palpate: There is no attack 'pdg'. Did you mean 'pgd'?\n")


def test_every_artefact_is_listed_under_its_modalities_in_a_narrow_terminal(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = call("list", "artefacts")
    assert status == 0 and max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    for entry in artefacts.artefacts().values():
        assert f"{entry.name} {entry.summary}" in words or len(entry.summary) > 55
    groups = [line for line in out.splitlines() if not line.startswith((" ", "`"))]
    assert groups[0] == "ct" and groups[-1] == "all images" and len(set(groups)) == len(groups)


def test_artefacts_of_one_modality(call: Call) -> None:
    _, out, _ = call("list", "artefacts", "--modality", "ct", "--json")
    assert [one["name"] for one in json.loads(out)] == [one.name for one in artefacts.of_modality("ct")]
    _, out, _ = call("list", "artefacts", "--modality", "mr")
    assert "ghosting" in out and "brightness" in out and "metal" not in out
    assert call("list", "artefacts", "--modality", "endo") == (
        2, "", "palpate: There is no modality 'endo'. Did you mean 'endoscopy'?\n",
    )  # fmt: skip


def test_one_artefact_shows_its_units_and_their_sources(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = call("list", "artefacts", "metal")
    words = " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert "diameter 2, 4, 6, 9, 12 mm at severities 1 to 5" in words and "(liaohaofu/adn" in words
    assert call("list", "artefacts", "metl")[2] == "palpate: There is no artefact 'metl'. Did you mean 'metal'?\n"
    status, _, err = call("list", "artefacts", "metal", "--modality", "mr")
    assert status == 2 and "is of ct, not of mr" in err


def test_cite_names_palpate_and_the_attack(call: Call) -> None:
    title = "adversarial robustness audits for medical-image models"
    assert title in (ROOT / "CITATION.cff").read_text()
    for options in ([], ["--bibtex"]):
        _, out, _ = call("cite", "smia", *options)
        assert title in out and palpate.__version__ in out and "Stabilized Medical Image Attacks" in out
    assert out.count("{") == out.count("}") and "@misc{qi2021," in out


# -- audits --------------------------------------------------------------------------------------------------------


def test_an_audit_ends_with_its_report_beside_the_plan(plan: Path, call: Call) -> None:
    status, out, err = call("audit", plan)
    run = plan.parent / "runs" / "plan"
    assert status == 0
    assert str(run / "report.html") in out and (run / "report.html").is_file() and (run / "results.json").is_file()
    assert "12 of 12 done" in err

    records = {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    assert call("audit", plan, "--quiet") == (0, f"{run / 'report.html'}\n", "")
    assert {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == records


def test_a_run_is_shown_and_reported_again(plan: Path, call: Call, tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    call("audit", plan, "--out", run, "--quiet")
    (run / "report.html").unlink()
    status, out, _ = call("show", run)
    assert status == 0 and "Tiny" in out and "fgsm" in out
    assert call("report", run) == (0, f"{run / 'report.html'}\n", "")
    assert "image0.png" not in (run / "report.html").read_text()
    call("report", run, "--names")
    assert any(f"image{number}.png" in (run / "report.html").read_text() for number in range(12))


def test_artefacts_are_previewed(plan: Path, call: Call) -> None:
    sheet = plan.parent / "preview" / "brightness.png"
    assert call("preview", plan, "--artefact", "brightness", "--images", 1) == (0, f"{sheet}\n", "")
    assert sheet.is_file() and not (plan.parent / "runs").exists()
    status, out, err = call("preview", plan)
    assert (status, out) == (2, "") and "--artefact NAME" in err


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_folder_that_is_no_run(command: str, call: Call, tmp_path: Path) -> None:
    status, out, err = call(command, tmp_path)
    assert (status, out) == (2, "") and "is not a run folder" in err and "Traceback" not in err


@pytest.mark.parametrize("command", ["show", "report", "view"])
def test_a_plan_is_no_run_and_its_usual_run_folder_is_named(command: str, call: Call, plan: Path) -> None:
    status, out, err = call(command, plan)
    assert (status, out) == (2, "") and "is a plan, not a run folder" in err and f"runs/{plan.stem}" in err


@pytest.mark.parametrize(("limit", "expected"), [("at_least = 1.0", 1), ("at_least = 0.1", 0)])
def test_gates_set_the_exit_status(limit: str, expected: int, plan: Path, call: Call) -> None:
    plan.write_text(f'{plan.read_text()}[[gates]]\nmetric = "clean_accuracy"\n{limit}\n')
    status, out, _ = call("audit", plan)
    assert status == expected
    assert ("passed" if expected == 0 else "failed") in out


def test_gates_and_title_of_a_finished_run_change_no_record(plan: Path, call: Call) -> None:
    call("audit", plan, "--quiet")
    run, text = plan.parent / "runs" / "plan", plan.read_text()
    before = {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()}

    def gated(limit: str) -> str:
        return f'{text}[[gates]]\nmetric = "clean_accuracy"\n{limit}\n'

    for written, expected, passed in (
        (gated("at_least = 1.0"), 1, [False]),
        (gated("at_least = 0.1"), 0, [True]),
        (gated("at_least = 0.1").replace('"Tiny"', '"Other"'), 0, [True]),
        (text, 0, []),
    ):
        plan.write_text(written)
        status, _, err = call("audit", plan, "--quiet")
        assert status == expected, err
        told = RunFolder(run).describe()
        assert [gate["passed"] for gate in told["gates"]] == passed and (run / "plan.toml").read_text() == written
        assert told["title"] == ("Other" if "Other" in written else "Tiny") in (run / "report.html").read_text()
    assert {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == before


def test_a_quiet_audit_says_on_stderr_why_it_fails(plan: Path, call: Call) -> None:
    gates = '[[gates]]\nmetric = "clean_accuracy"\nat_least = {}\n'
    plan.write_text(plan.read_text() + gates.format("1.0") + gates.format("0.1"))
    status, out, err = call("audit", plan, "-q")
    assert status == 1 and out.endswith("report.html\n") and len(err.splitlines()) == 1
    assert err.startswith("Gate failed: clean accuracy: at least 1 (measured 0.9167)")
    plan.write_text(planned("fgsm", "noise").replace("model.py:build", "model.py:blocked"))
    status, out, err = call("audit", plan, "-q", "--out", plan.parent / "other")
    assert status == 3 and len(err.splitlines()) == 1
    assert err.startswith("Attack failed: fgsm: This attack could not run:") and "no gradient flows" in err
    report = (plan.parent / "other" / "report.html").read_text()
    assert "Could not run: fgsm." in report and "Never ran" not in report
    assert "again: it goes on where it stopped" not in report


def test_a_bad_plan_is_one_sentence(plan: Path, call: Call) -> None:
    plan.write_text(planned("pdg"))
    status, out, err = call("audit", plan)
    assert (status, out) == (2, "")
    assert f"{plan}, line" in err and "Did you mean 'pgd'?" in err and err.count("\n") == 1


def test_a_plan_that_is_not_there(call: Call, tmp_path: Path) -> None:
    status, _, err = call("audit", tmp_path / "none.toml")
    assert status == 2 and "none.toml does not exist" in err


def test_a_changed_plan_is_refused_until_update(plan: Path, call: Call) -> None:
    call("audit", plan, "--quiet")
    plan.write_text(plan.read_text().replace("6/255", "7/255"))
    status, _, err = call("audit", plan)
    assert status == 2 and "threat.eps" in err and "--update" in err
    assert call("audit", plan, "--update", "--quiet")[0] == 0


def test_an_attack_that_cannot_run_leaves_status_3(plan: Path, call: Call) -> None:
    plan.write_text(planned("fgsm", "noise").replace("model.py:build", "model.py:blocked"))
    status, out, err = call("audit", plan)
    assert status == 3
    assert "'fgsm' could not run" in err and "noise" in out


def test_interrupted_while_attacking_says_what_is_stored(
    plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = plan.read_text().replace('"contiguous"', '"contiguous"\nshard = 4\nbatch = 4')
    plan.write_text(shards)
    whole, seen = bench.run_shard, []

    def stopped(*given: object) -> object:
        seen.append(given)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "run_shard", stopped)
    status, out, err = call("audit", plan)
    assert (status, out) == (130, "")
    assert "Stopped: 2 of 3 shards are stored" in err and "continues from there" in err
    status, _, err = call("audit", plan)
    assert status == 0 and "4 of 4 done" in err


def test_interrupted_while_tracing_says_that_the_attacks_are_done(
    plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(after, "run_trace_job", stopped)
        status, _, err = call("audit", plan)
    assert status == 130 and "all attacks are done, but not all probes and traces" in err
    assert call("audit", plan, "--quiet")[0] == 0


def test_interrupted_before_attacking(plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "audit", stopped)
    status, _, err = call("audit", plan)
    assert status == 130 and "Stopped: 0 shards" in err


def test_an_error_of_the_system_is_one_sentence(
    plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failing(*given: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr(runner, "audit", failing)
    assert call("audit", plan) == (2, "", "palpate: some/file: Permission denied.\n")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 GB")]
)
def test_too_little_memory_names_the_batch(
    error: Exception, plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(runner, "audit", failing)
    status, _, err = call("audit", plan)
    assert status == 2 and "run.batch" in err


def test_a_mistake_of_palpate_is_not_hidden(plan: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object, **named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(runner, "audit", failing)
    status, _, err = call("audit", plan)
    assert status == 70 and "ZeroDivisionError" in err and "Traceback" in err and "fault of palpate itself" in err


# -- beginning -----------------------------------------------------------------------------------------------------


def test_init_writes_a_plan_that_audit_reads(call: Call, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "plan.toml").unlink()
    status, out, _ = call("init", tmp_path)
    assert status == 0 and "CHECK" in out and "needs your value" not in out
    made = load_plan(tmp_path / "plan.toml")
    assert made.model.factory == "model.py:build" and made.data.table == "labels.csv"

    status, _, err = call("init", tmp_path)
    assert status == 2 and "--force" in err
    assert call("init", tmp_path, "--force")[0] == 0
    assert call("init", tmp_path, "--out", tmp_path / "plans" / "other.toml")[0] == 0
    assert load_plan(tmp_path / "plans" / "other.toml").data.table == "../labels.csv"


def test_audit_stops_at_the_lines_that_init_could_not_fill_in(call: Call, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "plan.toml").unlink()
    (tmp_path / "model.py").unlink()
    (tmp_path / "weights.safetensors").unlink()
    _, out, _ = call("init", tmp_path)
    (said,) = [line for line in out.splitlines() if "needs your value" in line]
    assert "remove the words FILL IN" in out
    status, _, err = call("audit", tmp_path / "plan.toml")
    assert (
        status == 2 and f"plan.toml, {said.split()[0]} {said.split()[1]} needs your value" in err and "factory" in err
    )
    assert not (tmp_path / "runs").exists()


def test_init_of_nothing(call: Call, tmp_path: Path) -> None:
    status, _, err = call("init", tmp_path / "none")
    assert status == 2 and "does not exist" in err


def test_the_demo_has_the_tasks_that_the_command_names() -> None:
    assert list(demo.DEMOS) == [task.value for task in demo_command.DemoTask]


def test_the_demos_plan_of_classes_has_attacks_of_every_kind_and_both_clinical_goals(tmp_path: Path) -> None:
    plan = load_plan(demo.write_demo(tmp_path / "demo", "classification", images=5))
    known = {name for name, entry in catalog.attacks().items() if "classification" in entry.tasks}
    named = {section.attack for section in plan.attacks}
    assert (
        plan.attacks[0].attack == "strongest" and {"strongest", "noise", "fgsm", "smia", "steadfast"} <= named <= known
    )
    assert {section.goal for section in plan.attacks} == {"untargeted", "hide disease", "invent disease"}
    assert len(list((tmp_path / "demo" / "classification" / "images").glob("*.png"))) == 5


@pytest.mark.parametrize(("task", "goal"), [("segmentation", "erase: lesion"), ("detection", "vanish")])
def test_the_demos_plans_of_masks_and_boxes_search_with_and_without_a_goal(
    task: str, goal: str, tmp_path: Path
) -> None:
    plan = load_plan(demo.write_demo(tmp_path / "demo", task, images=2))
    assert plan.task.kind == task
    assert plan.attacks[0].attack == "strongest" and plan.attacks[0].curve == "bisect"
    # Its passes are few because beaten images are left; others go on, for how far the score falls.
    climbs = {section.attack for section in plan.attacks if section.curve is None and section.goal == "untargeted"}
    assert {"noise", "smia"} == climbs and plan.curve == "each"
    assert {section.goal for section in plan.attacks} == {"untargeted", goal}


@pytest.mark.parametrize(
    ("task", "name", "modality"),
    [
        ("classification", "dust", "fundus"),
        ("segmentation", "metal", "ct"),
        ("detection", "lens-particles", "endoscopy"),
    ],
)
def test_each_demo_has_an_artefact_of_its_images_with_a_short_search(
    task: str, name: str, modality: str, tmp_path: Path
) -> None:
    plan = load_plan(demo.write_demo(tmp_path / "demo", task, images=2))
    (item,) = artefact_items(plan)
    assert item.name == name and modality in item.modalities
    ladder = item.ladder
    drawn = sum(count for _, count in ladder.drawn(2))
    assert 1 + drawn + ladder.evolution + ladder.polish + ladder.bisection == 19
    made = list(preview(plan, images=1))
    assert [one.path is not None for one in made] == [True], "its images can have it"


def _with_few_attacks(plan: Path) -> None:
    text = plan.read_text()
    head, gates = text[: text.index("[[attacks]]")], text[text.index("[[gates]]") :].partition("# `palpate harden")[0]
    few = '[[attacks]]\nattack = "noise"\ntries = 1\n[[attacks]]\nattack = "fgsm"\n'
    rest = "[survival]\nafter = []\n[quality]\nimages = 0\n[stability]\nimages = 0\n"
    plan.write_text(f'{head}{few}{rest}{gates}[run]\nlayout = "contiguous"\n')


def test_the_demo_runs_one_task_and_goes_on_with_the_others(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    _with_few_attacks(demo.write_demo(folder, "classification", images=5))
    status, out, _ = call("demo", "--task", "classification", "--out", folder)
    lessons = out.splitlines()[-4:]
    assert status == 0 and lessons[0] == "Classification:"
    assert "accuracy" in lessons[1] and "Random changes" in lessons[2] and "disease images" in lessons[3]
    assert str(RunFolder(folder / "classification" / "runs" / "plan").report) in out
    assert [path.name for path in folder.iterdir()] == ["classification"]
    for task in set(demo.DEMOS) - {"classification"}:
        _with_few_attacks(demo.write_demo(folder, task, images=2))
    # Two threads, so one of them runs beside the others in a process of its own.
    status, out, _ = call("demo", "--out", folder, "--threads", 2)
    assert status in (0, 1), "a gate may fail on two images"
    for task in demo.DEMOS:
        assert f"\n{task.capitalize()}:\n" in out
        assert out.count(str(Path(task) / "runs" / "plan" / "report.html")) == 1
        assert RunFolder(folder / task / "runs" / "plan").report.is_file()


def test_an_audit_beside_this_process_says_why_it_could_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "none.toml"
    job = ("audit", str(plan))
    with Beside([job], 1, quiet=False) as beside:
        assert beside.status(job) == 2
    said = capsys.readouterr()
    assert str(plan) in said.err and "Traceback" not in said.err and not said.out


def test_the_demo_ends_with_a_repair(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = tmp_path / "demo", list[tuple[Path, str]]()
    plan = demo.write_demo(folder, "classification", images=5)
    # The audit before it is another test's; what a repair does is tested with `palpate harden`.
    monkeypatch.setattr(demo_command, "carry_out", lambda *_, **__: 0)
    monkeypatch.setattr(demo_command, "_lessons", lambda run: [])
    monkeypatch.setattr(harden_command, "carry_out", lambda path, out, proof, **_: asked.append((path, proof)) or 0)
    status, _, err = call("demo", "--task", "classification", "--out", folder, "--threads", 1)
    assert status == 0 and asked == [(plan, "short")]
    assert f"palpate harden {plan} --proof short" in err
    settings = load_plan(plan).harden
    assert settings is not None and settings.data.table == "training/labels.csv"
    assert len(list((plan.parent / "training" / "images").glob("*.png"))) == 10


def test_the_demo_repairs_one_network_while_it_audits_the_others(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, here, beside = tmp_path / "demo", list[Path](), list[tuple[str, ...]]()
    plans = {task: demo.write_demo(folder, task, images=2) for task in demo.DEMOS}

    class Noted(Beside):
        def _carry_out(self, job: tuple[str, ...]) -> tuple[int, str, str]:
            beside.append(job)
            return 1, "said beside\n", ""

    monkeypatch.setattr("palpate.commands.beside.Beside", Noted)
    monkeypatch.setattr(demo_command, "carry_out", lambda plan, *_, **__: here.append(plan) or 0)
    monkeypatch.setattr(demo_command, "_lessons", lambda plan: [])
    status, out, err = call("demo", "--out", folder, "--threads", 2)
    repair = ("harden", str(plans["classification"]), "--proof", "short")
    assert status == 1 and beside == [repair, ("demo", "--task", "detection", "--out", str(folder))]
    assert f"palpate {' '.join(repair)}" in err
    assert here == [plans["classification"], plans["segmentation"]]
    assert out.splitlines() == ["Classification:", "Segmentation:", "said beside", "said beside"]


def test_the_demo_leaves_other_folders_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    status, _, err = call("demo", "--out", tmp_path)
    assert status == 2 and "letter.txt" in err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_demo_leaves_other_files_of_its_tasks_folder_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "detection").mkdir()
    (tmp_path / "detection" / "masks").mkdir()
    status, _, err = call("demo", "--task", "detection", "--out", tmp_path)
    assert status == 2 and "masks" in err and "detection" in err
    assert [path.name for path in (tmp_path / "detection").iterdir()] == ["masks"]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("palpate.audit.starter.plan", {"monai", "matplotlib", "transformers", "sklearn"}),
        ("palpate.audit.run.runner", {"monai", "matplotlib", "transformers"}),
        # A mistake in a plan is shown before anything else is imported.
        ("palpate.audit.plan.plan", {"scipy", "cmaes", "monai", "matplotlib", "lightning"}),
        ("palpate.data.formats.registry", {"torch", "monai", "scipy", "matplotlib"}),
        ("palpate.report.page.terminal", {"torch", "monai", "transformers"}),
    ],
)
def test_what_a_command_does_not_need_is_not_loaded(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & absent


def test_an_audit_of_classes_loads_neither_monai_nor_sympy(tmp_path: Path) -> None:
    write(tmp_path)
    code = (
        "import sys; from pathlib import Path; from palpate.audit.plan.plan import load_plan\n"
        "from palpate.audit.run.runner import audit\n"
        "audit(load_plan(Path('plan.toml')), Path('run')); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"monai", "sympy"}


def test_a_log_that_takes_no_sentence_leaves_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(SystemExit) as ended:
        cli.main(["show", str(tmp_path)])
    assert ended.value.code == cli.BAD_INPUT
