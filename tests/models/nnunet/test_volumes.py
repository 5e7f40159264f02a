"""The example's nnU-Net on real volumes, read by nnU-Net's own reader: the same mask, voxel for voxel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palpate.data.formats.volumes import read_volume
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import load_folds, told_by
from palpate.models.nnunet.pipeline import pipeline_of

DATA = Path(__file__).resolve().parents[3] / "examples" / "hippocampus_nnunet" / "data"
MODEL = DATA / "nnUNet_results" / "Dataset004_Hippocampus" / "nnUNetTrainer__nnUNetPlans__3d_lowres"
VOLUMES = sorted((DATA / "nnUNet_raw" / "Dataset004_Hippocampus" / "imagesTs").glob("*.nii.gz"))[:2]


def test_masks_of_real_volumes_are_those_of_the_predictor() -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed")
    if not VOLUMES or not MODEL.is_dir():
        pytest.skip("examples/hippocampus_nnunet is not prepared and trained")
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(MODEL), None)
    trained = read_trained(MODEL)
    networks = load_folds(trained)[0].eval().requires_grad_(False)
    for path in VOLUMES:
        theirs = predictor.predict_single_npy_array(*SimpleITKIO().read_images([str(path)])).transpose(2, 1, 0)
        volume = read_volume(path)
        pipeline = pipeline_of(trained, told_by(trained)).at(volume.spacing)
        ours = pipeline(torch.from_numpy(volume.array)[None], networks)[0].argmax(0).numpy()
        assert (ours == theirs).all() and (ours > 0).any()
