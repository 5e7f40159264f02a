"""Contact sheets: made without the model, clean first, more with each severity, marked as synthetic."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.plan import Plan, load_plan
from palpate.audit.preview import preview as previews
from palpate.audit.preview import sheet as sheets
from palpate.audit.preview.cells import Row, row_of, strengths
from palpate.audit.preview.preview import preview
from palpate.audit.preview.specimens import specimens
from palpate.audit.work.planes import shades
from palpate.errors import InputError
from tests.audit import tiny_dense

NOISE, POSITION = (f'[[artefacts]]\nartefact = "{one}"\nname = "a {one}"\n' for one in ("noise", "position"))


def planned(folder: Path, kind: str, more: str = "", *edits: tuple[str, str]) -> Plan:
    tiny_dense.write(folder, kind)
    text = tiny_dense.text(kind, more)
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    (folder / "plan.toml").write_text(text)
    return load_plan(folder / "plan.toml")


def rows(plan: Plan, count: int = 2) -> list[Row]:
    (item,) = artefact_items(plan)
    return [row_of(item, one, plan.seed) for one in specimens(plan, count)]


def test_a_sheet_per_artefact_next_to_the_plan_and_no_model_is_loaded(tmp_path: Path) -> None:
    plan = planned(tmp_path, "segmentation", NOISE + POSITION)
    (tmp_path / "model.py").write_text("raise RuntimeError('the model was loaded')")
    made = list(preview(plan, images=1))
    assert [one.path for one in made] == [tmp_path / "preview" / f"{name}.png" for name in ("a-noise", "a-position")]
    for one in made:
        assert one.path is not None
        with Image.open(one.path) as picture:
            assert picture.text["Description"].startswith("Synthetic: ")
            assert "not for diagnosis" in picture.text["Description"]
            assert picture.width > picture.height > 100
    again = [one.path.read_bytes() for one in made if one.path]
    assert [one.path.read_bytes() for one in preview(plan, images=1) if one.path] == again


def test_the_first_column_is_the_image_and_the_others_go_further_from_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, "segmentation", NOISE)
    for row, one in zip(rows(plan), specimens(plan, 2), strict=True):
        clean, *harmed = (cell.pixels.astype(float) for cell in row.cells)
        assert np.array_equal(clean, shades(one.image, (0.0, 255.0))) and len(harmed) == 5
        distances = [float(np.square(cell - clean).mean()) ** 0.5 for cell in harmed]
        assert distances == sorted(distances) and distances[0] > 0.3
        # The same noise at each severity: only its strength grows.
        assert np.corrcoef((harmed[1] - clean).ravel(), (harmed[4] - clean).ravel())[0, 1] > 0.95


def test_each_image_has_other_random_parameters_from_the_seed_of_the_plan(tmp_path: Path) -> None:
    first = rows(planned(tmp_path / "a", "segmentation", NOISE))
    assert first[0].words != first[1].words and "realisation" in first[0].words
    other = rows(planned(tmp_path / "b", "segmentation", NOISE, ('title = "Tiny"', 'title = "Tiny"\nseed = 5')))
    assert {row.words for row in first}.isdisjoint(row.words for row in other)


def test_masks_are_drawn_and_move_if_anatomy_moves(tmp_path: Path) -> None:
    (still, *_) = rows(planned(tmp_path / "noise", "segmentation", NOISE))
    assert all(cell.marks == [] for cell in still.cells)
    (row, *_) = rows(planned(tmp_path / "position", "segmentation", POSITION))
    assert all(cell.marks for cell in row.cells) and row.cells[0].marks != row.cells[-1].marks
    assert "at severity 5: rotation" in row.words
    (boxes, *_) = rows(planned(tmp_path / "boxes", "detection", POSITION), 1)
    assert boxes.cells[0].marks[0]["kind"] == "box"


def test_of_a_volume_the_slice_with_the_largest_mask_is_shown(tmp_path: Path) -> None:
    plan = planned(tmp_path, "volume", NOISE)
    for path in tmp_path.glob("*-mask.nii.gz"):
        mask = nibabel.load(path)
        labels = np.asarray(mask.dataobj)
        labels[:8, :, 6] = 1
        nibabel.save(nibabel.Nifti1Image(labels, mask.affine, mask.header), path)
    (row,) = rows(plan, 1)
    (one,) = specimens(plan, 1)
    assert row.plane == f"slice 7 of {one.image.shape[-1]}"
    assert np.array_equal(row.cells[0].pixels, shades(one.image[..., 6], (0.0, 255.0)))


def test_grey_is_what_the_model_sees_if_its_preprocessing_has_a_window(tmp_path: Path) -> None:
    steps = "bounds = [0, 255]\n\n[model.preprocess]\nsteps = [{window = [90, 150]}]"
    plan = planned(tmp_path, "segmentation", NOISE, ("bounds = [0, 255]\n", steps))
    seen = specimens(plan, 1)
    (one,) = seen
    assert one.shades == (90, 150)
    (one,) = specimens(plan, 1, (100, 120))
    assert one.shades == (100, 120), "the user's own window comes first"
    with pytest.raises(InputError, match="--window: 120 must be less than 100"):
        specimens(plan, 1, (120, 100))


def test_without_artefacts_those_of_the_modality_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "sheet", lambda *_, **__: b"drawn")
    plan = planned(tmp_path, "segmentation", "", ("[data]\n", '[data]\nmodality = "endoscopy"\n'))
    made = {one.artefact: one for one in preview(plan, images=1)}
    assert made["lens-particles"].path is not None and "ghosting" not in made
    refused = [one for one in made.values() if one.path is None]
    assert refused and all("three colour channels" in one.why for one in refused), "grey images have no colour"


def test_it_says_how_to_name_an_artefact(tmp_path: Path) -> None:
    plan = planned(tmp_path, "segmentation")
    with pytest.raises(InputError, match=r"no \[\[artefacts\]\].*--artefact NAME.*data\.modality: ct, mr"):
        list(preview(plan))
    assert [one.artefact for one in preview(plan, artefact="noise", images=1)] == ["noise"]
    with pytest.raises(InputError, match="Did you mean 'noise'"):
        list(preview(plan, artefact="nois"))


def test_one_picture_is_for_one_artefact(tmp_path: Path) -> None:
    plan = planned(tmp_path, "segmentation", NOISE + POSITION)
    with pytest.raises(InputError, match=r"one\.png is one picture, and there are 2 artefacts"):
        list(preview(plan, out=tmp_path / "one.png"))
    (made,) = preview(plan, out=tmp_path / "one.png", artefact="a noise", images=1)
    assert made.path == tmp_path / "one.png" and made.path.is_file()
    (made,) = preview(plan, out=tmp_path / "elsewhere", artefact="a noise", images=1)
    assert made.path == tmp_path / "elsewhere" / "a-noise.png"


def test_names_of_files_are_written_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, written = planned(tmp_path, "segmentation", NOISE), []
    monkeypatch.setattr(sheets._Paper, "write", lambda self, lines, left, **style: written.extend(lines))
    list(preview(plan, images=1))
    name = next(iter(specimens(plan, 1))).name
    assert "not for diagnosis" in " ".join(written) and name not in " ".join(written)
    assert "standard deviation 4% of" in " ".join(written), "strengths in units at each severity"
    list(preview(plan, images=1, names=True))
    assert name in " ".join(written)


def test_an_artefact_that_the_images_cannot_have_is_refused_with_the_file(tmp_path: Path) -> None:
    plan = planned(tmp_path, "volume", POSITION.replace("position", "defocus"))
    with pytest.raises(InputError, match=r"\.nii.*: artefact 'defocus' acts on images"):
        list(preview(plan, images=1))


def test_values_outside_the_bounds_are_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, "segmentation", NOISE, ("bounds = [0, 255]", "bounds = [0, 100]"))
    with pytest.raises(InputError, match=r"^model\.bounds: \d\.png has values from .*, outside 0 to 100\. Give bounds"):
        list(preview(plan, images=1))


def test_strengths_in_words(tmp_path: Path) -> None:
    (item,) = artefact_items(planned(tmp_path, "segmentation", POSITION))
    assert strengths(item.artefact.parameters, 3)[0] == "rotation up to 6 degrees"
    (item,) = artefact_items(planned(tmp_path, "segmentation", NOISE))
    assert strengths(item.artefact.parameters, 3) == ["standard deviation 4% of the range"]
