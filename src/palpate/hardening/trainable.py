"""Which models can be trained, and which part of a loaded model holds the weights."""

from __future__ import annotations

import torch
from torch import nn

from palpate.errors import InputError
from palpate.models.blackbox import FromProbabilities
from palpate.models.detectors.forms import FromBoxes
from palpate.models.detectors.huggingface import HuggingFaceDetector
from palpate.models.detectors.shipped import ShippedDetector
from palpate.models.huggingface import Logits
from palpate.models.loading import require_built
from palpate.models.outputs import Chosen
from palpate.models.source import ORIGINS, ModelSource
from palpate.victim.forms import is_opaque

_FIXED = {
    "exported": "an exported program is a fixed graph",
    "onnx": "an ONNX file is a fixed graph",
    "endpoint": "a service gives only outputs",
}
INSTEAD = (
    "Name the network and its weights (model.factory and model.weights) to train it. What works without training is "
    'randomised smoothing around the model: [[model.defences]] with defence = "smoothing", and [certificates].'
)


def require_trainable_source(source: ModelSource) -> None:
    """Refuse models that cannot be trained, before anything is loaded.

    Raises:
        InputError: an exported graph, an ONNX file, a service, or a pickled module without its factory.
    """
    for name, why in _FIXED.items():
        if getattr(source, name) is not None:
            raise InputError(f"model.{name}: it cannot be trained, because {why}. {INSTEAD}")
    if not any(getattr(source, name) is not None for name in ORIGINS):
        raise InputError(
            "model.weights: a pickled module is its own code, and a training can only write weights. Save "
            "model.state_dict(), and name the function that builds the network in model.factory."
        )


def require_trainable(module: nn.Module) -> None:
    """Refuse a module without weights that can be trained.

    Raises:
        InputError: it computes outside torch, has no parameters, or all of them are frozen.
    """
    if is_opaque(module):
        raise InputError(f"model: it cannot be trained, because it computes outside torch. {INSTEAD}")
    require_built(module)
    parameters = list(module.parameters())
    if not parameters:
        kind = "frozen TorchScript has constants" if isinstance(module, torch.jit.ScriptModule) else "it has none"
        raise InputError(f"model: it cannot be trained, because it has no parameters ({kind}). {INSTEAD}")
    if not any(parameter.requires_grad for parameter in parameters):
        raise InputError(
            "model: all its parameters are frozen (requires_grad is False), so nothing can be trained. Let the factory "
            "return a network with trainable parameters."
        )


def network_inside(module: nn.Module) -> nn.Module:
    """The user's own network inside what palpate put around it; its state dict is what weights files hold."""
    while isinstance(module, (Chosen, FromProbabilities, FromBoxes, Logits, HuggingFaceDetector, ShippedDetector)):
        module = module.model
    return module
