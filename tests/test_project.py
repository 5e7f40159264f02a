"""What surrounds the package: its version, its address, its workflows, and the tools that contributors call."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from pyarrow import parquet

import palpate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MINORS = [
    found[1]
    for entry in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", entry))
]
CHECKS = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())
ACTION = yaml.safe_load((ROOT / ".github/actions/python/action.yml").read_text())


def test_version_is_written_in_the_package_and_in_the_citation_alone():
    assert PROJECT["project"]["dynamic"] == ["version", "readme"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/palpate/__init__.py"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == palpate.__version__
    quoted = re.compile(rf"""["']{re.escape(palpate.__version__)}["']""")
    sources = [path for path in (ROOT / "src").rglob("*.py") if quoted.search(path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in sources] == ["src/palpate/__init__.py"]


def test_citation_and_project_name_the_same_authors_and_licence():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["project"]["authors"] == cited["authors"]
    assert PROJECT["project"]["license"] == cited["license"]


def test_a_package_index_gets_the_readme_with_addresses_in_place_of_relative_links():
    pytest.importorskip("hatchling")
    import package_readme

    address = PROJECT["project"]["urls"]["Repository"]
    assert PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["path"] == "tools/package_readme.py"
    metadata = {"urls": {"Repository": address}}
    package_readme.ReadmeHook(str(ROOT), {}).update(metadata)
    targets = re.findall(r"\]\(([^)\s]+)", metadata["readme"]["text"])
    inside = {kind: [one for one in targets if one.startswith(f"{address}/{kind}/main/")] for kind in ("raw", "blob")}
    assert len(inside["raw"]) == 1 and len(inside["blob"]) == len(targets) - 1 > 10
    for kind, addresses in inside.items():
        assert all((ROOT / one.removeprefix(f"{address}/{kind}/main/")).exists() for one in addresses)


def test_address_is_replaced_wherever_it_is_named(tmp_path):
    import set_address

    old = set_address.address()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = [
            name for name in listed.stdout.splitlines() if (ROOT / name).suffix in {".toml", ".md", ".cff", ".yml"}
        ]
        naming = {name for name in names if (ROOT / name).is_file() and old in (ROOT / name).read_text()}
        assert naming == set(set_address.FILES)
    for name in set_address.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    set_address.replace("https://forge.invalid/us/palpate", tmp_path)
    assert set_address.address(tmp_path) == "https://forge.invalid/us/palpate"
    for name in set_address.FILES:
        text = (tmp_path / name).read_text()
        assert old not in text and "https://forge.invalid/us/palpate" in text
    for wrong in ("http://forge.invalid/us", "https://forge.invalid/us/"):
        with pytest.raises(ValueError, match="cannot be the address"):
            set_address.replace(wrong, tmp_path)


def _jobs_commands():
    for name, job in CHECKS["jobs"].items():
        for step in job["steps"]:
            if "run" in step:
                yield name, step["run"]


def test_workflow_calls_only_what_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    commands = list(_jobs_commands())
    assert {"quick", "lint", "test", "mutants", "lowest", "reference", "package"} <= {name for name, _ in commands}
    for _, command in commands:
        for called in re.findall(r"\bmake ([a-z-]+)", command):
            assert called in targets
        for script in re.findall(r"(?<!\S)\.ci/\S+", command):
            assert os.access(ROOT / script, os.X_OK)
        for tool in re.findall(r"\btools/\S+", command):
            assert (ROOT / tool).is_file()
    for name, job in CHECKS["jobs"].items():
        assert set(job.get("needs", [])) <= set(CHECKS["jobs"]), name
        assert "timeout-minutes" in job, name


def test_workflow_tests_every_python_that_the_package_claims():
    assert CHECKS["jobs"]["test"]["strategy"]["matrix"]["python"] == MINORS
    assert ACTION["inputs"]["version"]["default"] == MINORS[0]
    assert PROJECT["project"]["requires-python"] == f">={MINORS[0]}"
    script = (ROOT / "tools/find_python.sh").read_text()
    for minor in MINORS:
        assert f"python{minor}" in script


def test_hooks_call_what_the_makefile_calls():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks:
        program, *_ = hook["entry"].removeprefix(".venv/bin/").split()
        assert program == "make" or f"$(BIN)/{program}" in makefile


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_links_and_commands_of_the_contributors_pages_exist(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)(?:`|$|\s+#)", text, flags=re.MULTILINE)) <= targets


def test_release_notes_are_the_first_section(tmp_path):
    import release_notes

    text = "# Changelog\n\nWhat changes.\n\n## 2.0 (2031-01-02)\n\nFaster.\n\n### Fixes\n\n- one\n\n## 1.0\n\nOld.\n"
    assert release_notes.newest(text) == "## 2.0 (2031-01-02)\n\nFaster.\n\n### Fixes\n\n- one\n"
    assert release_notes.newest("## 1.0\n\nOld.") == "## 1.0\n\nOld.\n"
    for wrong, said in (
        ("# Changelog\n", "has no section"),
        ("## Unreleased\n\n## 1.0\n\nOld.\n", "'Unreleased'.*is empty"),
    ):
        with pytest.raises(ValueError, match=said):
            release_notes.newest(wrong)


def test_release_notes_as_a_command(tmp_path):
    file = tmp_path / "CHANGELOG.md"
    command = [sys.executable, str(ROOT / "tools/release_notes.py"), str(file)]
    missing = subprocess.run(command, capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and missing.stderr.startswith("CHANGELOG.md: ")
    file.write_text("# Changelog\n\n## 1.0\n\nFirst.\n\n## 0.9\n\nBefore.\n")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "## 1.0\n\nFirst.\n"


def _fake(folder, name, status):
    file = folder / name
    file.write_text(f"#!/bin/sh\nexit {status}\n")
    file.chmod(0o755)
    return str(file)


def _find(folder, *arguments):
    command = ["/bin/sh", str(ROOT / "tools/find_python.sh"), *arguments]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False)


def test_make_takes_the_first_python_that_runs_and_fits(tmp_path):
    _fake(tmp_path, "python3.11", 127)  # as a version manager's command that leads nowhere
    _fake(tmp_path, "python3.12", 1)
    fits = _fake(tmp_path, "python3", 0)
    found = _find(tmp_path)
    assert (found.returncode, found.stdout.strip()) == (0, fits)
    earlier = _fake(tmp_path, "python3.13", 0)
    assert _find(tmp_path).stdout.strip() == earlier
    assert _find(tmp_path, "python3").stdout.strip() == fits


def test_make_says_what_is_missing_where_no_python_fits(tmp_path):
    _fake(tmp_path, "python3.11", 127)
    none = _find(tmp_path)
    assert none.returncode == 1 and none.stdout == ""
    assert none.stderr.startswith("No Python 3.11 or newer with the module venv was found.")
    named = _find(tmp_path, "python3.11")
    assert named.returncode == 1 and named.stdout == ""
    assert named.stderr.startswith("'python3.11' cannot be used: palpate needs Python 3.11 or newer")


def test_find_python_asks_for_the_version_that_the_package_asks_for(tmp_path):
    asked = re.search(r"sys\.version_info < \((\d), (\d+)\)", (ROOT / "tools/find_python.sh").read_text())
    assert asked and PROJECT["project"]["requires-python"] == f">={asked[1]}.{asked[2]}"
    real = _find(tmp_path, sys.executable)
    assert (real.returncode, real.stdout.strip()) == (0, sys.executable)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "volumes"])
def test_small_audit_beats_images_and_saves_them(tmp_path, kind):
    import small_audit
    from palpate import cli

    plan = getattr(small_audit, kind)(tmp_path / kind)
    with pytest.raises(SystemExit) as ended:  # in this process: importing torch takes seconds
        cli.main(["audit", str(plan)])
    assert not ended.value.code
    run = plan.parent / "runs" / "plan"
    assert (run / "report.html").is_file()
    outcomes = parquet.read_table(run / "records", columns=["clean_right", "eps", "success"]).to_pylist()
    assert outcomes and all(row["clean_right"] for row in outcomes)
    beaten = {row["eps"] for row in outcomes if row["success"]}
    assert beaten == {max(row["eps"] for row in outcomes)}, "the small budget must beat none, the large one some"
