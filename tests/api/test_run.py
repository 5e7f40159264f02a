"""`palpate.audit` and `palpate.load_run`: the same audit as on the command line, and all of it in Python."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import palpate
from tests.audit import tiny


def test_a_run_has_records_figures_files_and_the_plan(world):
    place, plan, run = world
    assert run.status == "finished" and run.passed and run.report.is_file()
    assert isinstance(run.records, pa.Table) and run.records.num_rows == 12 * 2
    assert run.plan["threat"]["eps"] == ["6/255", "16/255"] and run.attacks == ["bim"]
    beaten = np.array(run.records["success"].to_pylist()).reshape(12, 2).sum(0)
    assert run.robust_accuracy("6/255") == run.robust_accuracy(6, "bim") == pytest.approx((11 - beaten[0]) / 12)
    assert run.clean_accuracy == run.results.clean.accuracy.value == 11 / 12
    assert [row.eps for row in run.curve("bim")] == [row.eps for row in run.curve()] == [6, 16]
    assert run.figures["robust accuracy at eps 6"].value == run.robust_accuracy(6)
    files = run.images()
    assert files and all(file.is_file() for file in files) and len(run.images(eps=6)) < len(files)
    assert str(run).startswith("Small: finished, in ") and "worst case" not in str(run)
    with pytest.raises(palpate.InputError, match=r"eps: there are several budgets \(6, 16\)"):
        run.robust_accuracy()
    with pytest.raises(palpate.InputError, match="there is no 'pdg' in this run"):
        run.curve("pdg")
    assert run.robust_accuracy("6") == run.robust_accuracy(6) and "<table>" in run._repr_html_()
    with pytest.raises(palpate.PalpateError, match="Give the run folder"):
        palpate.load_run(place / "run" / "results.json")
    with pytest.raises(palpate.InputError, match=r"^threat\.norm: "):
        palpate.audit(plan | {"threat": {"norm": "l3", "eps": [1]}}, place / "other", root=place)
    again = palpate.load_run(place / "run")
    assert again.table() == run.table() and again.results == run.results


def test_an_unfinished_run_shows_what_is_there(world, tmp_path):
    shutil.copytree(world[2].path, tmp_path / "run")
    for shard in (tmp_path / "run" / "records").iterdir():
        shard.unlink()
    run = palpate.load_run(tmp_path / "run")
    assert (run.status, run.passed, run.records.num_rows, len(run.table())) == ("unfinished", False, 0, 0)
    assert "unfinished" in str(run)
    with pytest.raises(palpate.InputError, match="no attack has finished at any budget"):
        run.robust_accuracy(6)


def test_evaluate_gives_the_figures_and_intervals_of_the_audit(world):
    place, _, run = world
    images = np.stack([np.asarray(Image.open(place / f"image{index}.png")) for index in range(12)])[:, None]
    table = palpate.evaluate(
        _network(place),
        images,
        [tiny.label(index) for index in range(12)],
        attacks=("bim", {"steps": 3}),
        eps=["6/255", "16/255"],
        preprocess=palpate.Preprocess(mean=[127.5], std=[127.5]),
        groups=[index // 2 for index in range(12)],
    )
    assert table.rows == run.table().rows


def _network(place):
    from safetensors.torch import load_file

    found = {}
    exec((place / "model.py").read_text(), found)
    network = found["build"]()
    network.load_state_dict(load_file(place / "weights.safetensors"))
    return network


def test_the_same_plan_as_a_file_is_the_same_run_and_goes_on(world):
    place, plan, run = world
    before = {path: path.read_bytes() for path in (place / "run" / "records").iterdir()}
    assert before
    again = palpate.audit(plan, place / "run", root=place, report=False)
    assert {path: path.read_bytes() for path in (place / "run" / "records").iterdir()} == before
    assert again.table() == run.table()
    more = {**plan, "attacks": [*plan["attacks"], {"attack": "noise", "tries": np.int64(1)}]}
    with pytest.raises(palpate.PalpateError, match="was started with another plan"):
        palpate.audit(more, place / "run", root=place)


def test_what_is_no_plan_gets_one_sentence(world, tmp_path):
    place, plan, _ = world
    for given, said in (
        ((plan,), "folder: it is missing"),
        (
            ({**plan, "model": _network(place)}, tmp_path / "r"),
            "model: a plan cannot hold .* Sequential",
        ),
        ((_network(place), tmp_path / "r"), "a model belongs to palpate.evaluate"),
        (({**plan, "threat": {"epsilon": 3}}, tmp_path / "r"), "threat.epsilon.*palpate's is called 'eps'"),
        (({**plan, "attacks": [{"attack": "AA"}]}, tmp_path / "r"), "palpate's is called 'strongest'"),
        (({**plan, "attacks": [{"attack": "pgd", "iters": 3}]}, tmp_path / "r"), "palpate's is called 'steps'"),
        ((tmp_path / "none.toml",), "does not exist"),
    ):
        with pytest.raises(palpate.PalpateError, match=said):
            palpate.audit(*given, **({"root": place} if isinstance(given[0], dict) else {}))
    with pytest.raises(palpate.InputError, match="root: it is for a plan that is a dict"):
        palpate.audit(place / "plan.toml", root=place)
    with pytest.raises(palpate.PalpateError, match="no run"):
        palpate.load_run(tmp_path)


def test_a_run_is_read_without_torch_and_the_package_can_still_be_imported_from(world):
    code = (
        "import sys, palpate; run = palpate.load_run(sys.argv[1]); run.robust_accuracy(6); run.records; run.images(); "
        "repr(run); assert callable(palpate.audit); import palpate.pytest_plugin; "
        "assert not {'torch', 'monai'} & set(sys.modules), 'torch'"
    )
    subprocess.run([sys.executable, "-c", code, str(world[2].path)], check=True)
    assert palpate.audit is importlib.import_module("palpate.audit")
    assert Path(importlib.import_module("palpate.audit.plan.plan").__file__).name == "plan.py"


def test_the_plug_in_costs_nothing_before_it_is_used():
    code = (
        "import sys, pytest; before = set(sys.modules); import palpate.pytest_plugin; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - {'palpate'}; "
        "assert not new & {'torch', 'numpy', 'pyarrow', 'pydantic', 'rich', 'typer', 'scipy'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
