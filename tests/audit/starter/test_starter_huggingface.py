"""`palpate init` on folders of Hugging Face of each kind: the plan that it writes runs unedited, and reads the model
as transformers does. The true labels are what the model itself says by transformers, so every image is one to attack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.run.runner import audit
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.errors import InputError
from palpate.storage.runs import RunFolder

SIDE, COUNT = 32, 4
MEAN, STD = (0.5, 0.4, 0.2), (0.5, 0.2, 0.1)
CHEAP = """
[[attacks]]
attack = "pgd"
steps = 2
[survival]
after = []
saved = false
[stability]
images = 0
[quality]
images = 0
"""
"""In the place of the proposed attacks, artefacts and probes, which take minutes."""


def started(folder: Path, *, finished: bool = True) -> tuple[Plan, str]:
    text = starting_plan(folder, folder)
    assert not unfinished(text) or not finished, unfinished(text)
    return parse_plan(text, folder / "plan.toml"), text


def run(folder: Path) -> dict[str, np.ndarray]:
    """The records of an audit by the proposed plan with other attacks: its model, data, task and threat unedited."""
    _, text = started(folder)
    head, _, _ = text.partition("# `palpate list attacks`")
    outcome = audit(parse_plan(head + CHEAP, folder / "plan.toml"), folder / "run")
    assert outcome.status == "finished" and not outcome.failed
    return RunFolder(outcome.folder).frame()


def prepared(folder: Path, side: int, *, nested: bool = False, **more: object) -> None:
    """The configuration of an image processor, in a file of its own or within that of the processor."""
    said = {"size": {"height": side, "width": side}, "image_mean": MEAN, "image_std": STD, **more}
    name = "processor_config.json" if nested else "preprocessor_config.json"
    (folder / name).write_text(json.dumps({"image_processor": said} if nested else said))


def normalised(images: np.ndarray) -> torch.Tensor:
    """What an image processor makes of bytes (B, H, W, 3)."""
    values = (images / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


def pictures(folder: Path, count: int = COUNT, side: int = SIDE) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    images //= np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None]
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return images


def table(path: Path, header: str, lines: Sequence[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


# -- whole audits ---------------------------------------------------------------------------------------------------


def yolos(folder: Path, names: Sequence[str]) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[SIDE, SIDE],
        patch_size=8, num_detection_tokens=6, id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: torch.nn.Module = transformers.YolosForObjectDetection(config).eval()
    with torch.no_grad():
        for part in map(model.get_submodule, ("class_labels_classifier", "bbox_predictor")):
            for parameter in part.parameters():
                parameter.mul_(10)  # as drawn, its queries say much the same
    model.save_pretrained(folder)  # type: ignore[operator]
    prepared(folder, SIDE)
    return model


def test_a_detector_runs_unedited_with_its_classes_in_its_own_order(tmp_path: Path) -> None:
    model = yolos(tmp_path / "detector", ("nodule", "mass"))
    with torch.no_grad():
        found = model(pixel_values=normalised(pictures(tmp_path)))
    lines = []
    for number, (scores, boxes) in enumerate(zip(found.logits.softmax(-1), found.pred_boxes, strict=True)):
        for score, (x, y, width, height) in zip(scores, (boxes * SIDE).tolist(), strict=True):
            if score[:2].max() >= 0.5 and score.argmax() < 2:
                corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                lines.append(f"{number}.png,{('nodule', 'mass')[score.argmax()]},{','.join(map(str, corners))}")
    assert {line.split(",")[1] for line in lines} == {"nodule", "mass"}
    table(tmp_path / "boxes.csv", "image,label,xmin,ymin,xmax,ymax", lines)
    table(tmp_path / "images.csv", "file", [f"{number}.png" for number in range(COUNT)])
    frame = run(tmp_path)
    held = {line.split(",")[0] for line in lines}
    assert {image for image, eligible in pairs(frame) if eligible} == held
    assert (frame["clean_score"][frame["eligible"]] == 1).all()


def test_sam_runs_unedited_with_the_box_of_each_image(tmp_path: Path) -> None:
    foundation = pytest.importorskip("tests.models.test_foundation", reason="transformers is not installed")
    folder = foundation.sam(tmp_path / "sam")
    prepared(folder, SIDE, size={"longest_edge": SIDE}, nested=True)
    model = foundation.transformers.SamModel.from_pretrained(folder).eval()
    images, lines = normalised(pictures(tmp_path)), []
    for number in range(COUNT):
        box = [2 + number, 3, 20 + number, 30]
        given = torch.tensor([[box]], dtype=torch.float32)
        with torch.no_grad():
            found = model(pixel_values=images[number][None], input_boxes=given, multimask_output=False).pred_masks
        mask = torch.nn.functional.interpolate(found[:, 0], (SIDE, SIDE), mode="bilinear")[0, 0] > 0
        assert 0 < mask.float().mean() < 1
        Image.fromarray(mask.numpy().astype(np.uint8) * 255).save(tmp_path / f"mask{number}.png")
        lines.append(f"{number}.png,mask{number}.png,{','.join(map(str, box))}")
    table(tmp_path / "cases.csv", "image,mask,x1,y1,x2,y2", lines)
    frame = run(tmp_path)
    assert frame["eligible"].all() and frame["clean_score"].min() > 0.999


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_clip_runs_unedited_with_the_names_of_the_classes_as_texts(tmp_path: Path, kind: str) -> None:
    foundation = pytest.importorskip("tests.models.test_foundation", reason="transformers is not installed")
    folder = foundation.clip(tmp_path / "clip", kind)
    prepared(folder, 16, size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, do_center_crop=True)
    tokens = foundation.transformers.AutoTokenizer.from_pretrained(folder)
    padded = {"padding": "max_length", "max_length": 8} if kind == "Siglip" else {}
    texts = tokens(["clear lung", "opaque lung"], return_tensors="pt", **padded)["input_ids"]
    model = getattr(foundation.transformers, f"{kind}Model").from_pretrained(folder).eval()
    with torch.no_grad():
        said = model(texts, normalised(pictures(tmp_path, side=16))).logits_per_image.argmax(1).tolist()
    wrong = [1 - said[0], *said[1:]]
    names = ("clear_lung", "opaque_lung")
    table(tmp_path / "x.csv", "file,label", [f"{number}.png,{names[label]}" for number, label in enumerate(wrong)])
    assert len(set(wrong)) == 2
    frame = run(tmp_path)
    assert {image for image, eligible in pairs(frame) if eligible} == {"1.png", "2.png", "3.png"}


def pairs(frame: dict[str, np.ndarray]) -> list[tuple[str, bool]]:
    return list(zip(frame["image"].tolist(), frame["eligible"].tolist(), strict=True))


# -- what is written ------------------------------------------------------------------------------------------------


def described(folder: Path, kind: str, **config: object) -> None:
    """A folder whose weights are empty: init does not open them."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [kind], **config}))
    (folder / "model.safetensors").touch()


def numbered(*names: str) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def boxes(folder: Path, *names: str) -> None:
    pictures(folder)
    lines = [f"{number % COUNT}.png,{name},1,2,20,21" for number, name in enumerate(names * COUNT)]
    table(folder / "boxes.csv", "image,label,xmin,ymin,xmax,ymax", lines)


@pytest.mark.parametrize(
    ("kind", "model_type", "head"),
    [
        ("DetrForObjectDetection", "detr", "softmax"),
        ("RTDetrForObjectDetection", "rt_detr", "sigmoid"),
        ("DeformableDetrForObjectDetection", "deformable_detr", "sigmoid"),
    ],
)
def test_no_detector_of_queries_is_given_a_suppression(tmp_path: Path, kind: str, model_type: str, head: str) -> None:
    boxes(tmp_path, "cell")
    described(tmp_path / "net", kind, model_type=model_type, id2label=numbered("background", "cell", "N/A", "N/A"))
    prepared(tmp_path / "net", 64, do_normalize=False)
    plan, _ = started(tmp_path)
    assert (plan.task.head, plan.task.suppression) == (head, 1.0)  # type: ignore[union-attr]
    assert plan.task.names == ("background", "cell", "N/A", "N/A 2")
    shown = plan.model.preprocess
    assert (shown.size, shown.mean, shown.std) == ((64, 64), (0.0,), (255.0,))


def test_another_number_of_classes_is_asked_about(tmp_path: Path) -> None:
    boxes(tmp_path, "cell")
    described(tmp_path / "net", "DetrForObjectDetection", id2label=numbered("person", "bicycle"))
    ((_, asked),) = unfinished(started(tmp_path, finished=False)[1])
    assert asked == "the model has 2 outputs (person, bicycle), so name as many, in its order"


def test_the_model_decides_which_annotations_are_audited(tmp_path: Path) -> None:
    boxes(tmp_path, "cell")
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        (tmp_path / f"{number}.png").rename(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(tmp_path / "masks" / f"{number}.png")
    described(tmp_path / "net", "YolosForObjectDetection", id2label=numbered("cell"))
    assert started(tmp_path)[0].task.kind == "detection"
    described(tmp_path / "net", "SegformerForSemanticSegmentation", id2label=numbered("background", "nucleus"))
    plan, _ = started(tmp_path)
    assert plan.task.kind == "segmentation" and plan.task.names == ("nucleus",) and plan.task.resample
    plan = parse_plan(starting_plan(tmp_path, tmp_path, "detection"), tmp_path / "plan.toml")
    assert plan.task.kind == "detection"


def masks(folder: Path, header: str, *cells: str) -> None:
    pictures(folder)
    for number in range(COUNT):
        Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(folder / f"mask{number}.png")
    rows = [f"{number}.png,mask{number}.png,{cells[number % len(cells)]}" for number in range(COUNT)]
    table(folder / "cases.csv", f"image,mask,{header}", rows)


def prompted(folder: Path, header: str, *cells: str) -> tuple[dict[str, object], list[str]]:
    masks(folder, header, *cells)
    described(folder / "sam", "SamModel", vision_config={})
    plan, text = started(folder, finished=False)
    assert plan.model.preprocess.size == (1024, 1024) and plan.task.resample  # type: ignore[union-attr]
    return dict(plan.model.inputs), [question for _, question in unfinished(text)]


@pytest.mark.parametrize(
    ("header", "cells", "prompt"),
    [
        ("xmin,ymin,xmax,ymax", "1,2,9,9", {"box": {"box": ("xmin", "ymin", "xmax", "ymax")}}),
        ("click_x,click_y", "4,5", {"points": {"points": ("click_x", "click_y")}}),
        ("p1x,p1y,note", "4,5,word", None),
        ("px1,py1,px2,py2", "1,2,3,4", {"points": {"points": ("px1", "py1", "px2", "py2")}}),
        ("px,py,qx,qy", "1,2,3,4", {"points": {"points": ("px", "py", "qx", "qy")}}),
    ],
)
def test_columns_of_a_prompt_are_found(tmp_path: Path, header: str, cells: str, prompt: object) -> None:
    found, asked = prompted(tmp_path, header, cells)
    if prompt is None:
        assert asked and "no columns of a prompt" in asked[0]
    else:
        assert json.loads(json.dumps(found)) == json.loads(json.dumps(prompt)) and not asked


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        ("x,y,width,height", ["1,2,9,9"], "the columns x, y, width, height are a place and a size"),
        ("x1,y1,x2,y2", ["0.1,0.2,0.5,0.5"], "the columns x1, y1, x2, y2 are fractions of the image"),
        ("x1,y1,x2,y2", ["1,2,9,9", ",,,"], "a cell of the columns x1, y1, x2, y2 holds no number"),
    ],
)
def test_a_prompt_that_no_column_gives_is_asked_for(
    tmp_path: Path, header: str, cells: Sequence[str], said: str
) -> None:
    _, asked = prompted(tmp_path, header, *cells)
    assert asked and said in asked[0]


@pytest.mark.parametrize(
    ("header", "cells", "labels", "said"),
    [
        ("x,y,foreground", ["4,5,1", "4,5,0"], ("foreground",), ""),
        ("px,py,qx,qy,pl,ql", ["1,2,3,4,1,0"], ("pl", "ql"), ""),
        ("x1,y1,label1", ["4,5,1", "4,5,0"], ("label1",), ""),
        ("click_x,click_y,point_label", ["4,5,in"], ("point_label",), "a cell holds 'in'; write 1 on the object"),
        ("x,y,fg", ["4,5,"], ("fg",), "a cell holds nothing; write 1 on the object"),
        ("px,py,qx,qy,pl", ["1,2,3,4,1"], None, ""),
        ("x,y,label", ["4,5,1", "4,5,0"], None, ""),
    ],
)
def test_what_a_point_marks_is_found(
    tmp_path: Path, header: str, cells: Sequence[str], labels: tuple[str, ...] | None, said: str
) -> None:
    found, asked = prompted(tmp_path, header, *cells)
    assert found.get("labels") == labels and "points" in found
    assert [question for question in asked if said not in question] == [] and bool(asked) == bool(said)


@pytest.mark.parametrize("column", [True, False])
def test_a_folder_of_masks_beside_a_table_of_prompts_is_not_a_class(tmp_path: Path, column: bool) -> None:
    (tmp_path / "scan").mkdir()
    pictures(tmp_path / "scan")
    (tmp_path / "tumour").mkdir()
    for number in range(COUNT):
        Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(tmp_path / "tumour" / f"{number}.png")
    rows = [f"scan/{n}.png,{f'tumour/{n}.png,' if column else ''}1,2,9,9" for n in range(COUNT)]
    table(tmp_path / "prompts.csv", f"image,{'mask,' if column else ''}x1,y1,x2,y2", rows)
    text = starting_plan(tmp_path, tmp_path)
    assert "masks of" in text and "boxes of object" in text and "--task classification" not in text
    with pytest.raises(InputError, match="it has no annotations for a classification"):
        starting_plan(tmp_path, tmp_path, "classification")


def test_a_prompt_beside_folders_of_masks_is_asked_for(tmp_path: Path) -> None:
    masks(tmp_path, "note", "word")
    (tmp_path / "cases.csv").unlink()
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(COUNT):
        (tmp_path / f"{number}.png").rename(tmp_path / "images" / f"{number}.png")
        (tmp_path / f"mask{number}.png").rename(tmp_path / "masks" / f"{number}.png")
    described(tmp_path / "sam", "SamModel", vision_config={})
    plan, text = started(tmp_path, finished=False)
    assert not plan.model.inputs and "columns are those of a CSV" in unfinished(text)[0][1]
    assert unfinished(text)[0][1].endswith("put its masks there too, in a column mask")


def test_classes_that_are_numbers_have_no_texts(tmp_path: Path) -> None:
    pictures(tmp_path)
    table(tmp_path / "x.csv", "file,label", [f"{number}.png,{number % 2}" for number in range(COUNT)])
    described(tmp_path / "clip", "CLIPModel", vision_config={"image_size": 224})
    plan, text = started(tmp_path, finished=False)
    assert len(plan.model.texts) == 2 and plan.model.preprocess.size == (224, 224)
    assert any("what an image of each class shows" in asked for _, asked in unfinished(text))


def test_classes_are_written_in_the_order_of_the_classifier(tmp_path: Path) -> None:
    pictures(tmp_path)
    table(tmp_path / "x.csv", "file,label", ["0.png,a", "1.png,b", "2.png,c", "3.png,c"])
    described(tmp_path / "vit", "ViTForImageClassification", id2label=numbered("c", "a", "b"))
    plan, text = started(tmp_path)
    assert plan.task.names == ("c", "a", "b") and "classes c (2); a (1); b (1)" in text
