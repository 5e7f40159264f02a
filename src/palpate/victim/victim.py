"""The model under test: bounds in stored values, preprocessing, counted passes, everything restored on exit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from palpate.errors import InputError, NoGradientError
from palpate.preprocess.blocking import gradient_missing, where_blocked
from palpate.tensors import Tree, leaves, mapped, not_read
from palpate.usercode import ModelError, UserCode, Watchdog
from palpate.victim.defence import JUDGE, SEARCH, Defence, Inside, Pass, defended, modules_of
from palpate.victim.draws import expected
from palpate.victim.folding import copied, fold_batch_norms
from palpate.victim.forms import channels_last, dtype_of, form, is_opaque, parts, shares_memory
from palpate.victim.strided import ease_strided_inputs

Precision = Literal["float32", "bfloat16"]
MemoryLayout = Literal["contiguous", "channels_last"]
_COARSE = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Tuning:
    """How the search evaluates the model. Verdicts never depend on it: they use the model as it was given.

    Attributes:
        layout: memory layout of the search copy; which one is faster depends on the network.
        fold: fold batch norms into the convolutions before them, and compute the gradient of a strided first
            convolution faster.
        search: arithmetic of the search's forward and backward passes.
        forward_no_grad: arithmetic of extra forward passes without gradient (SMIA's smoothed branch).
    """

    layout: MemoryLayout = "contiguous"
    fold: bool = False
    search: Precision = "float32"
    forward_no_grad: Precision = "float32"

    def stored(self) -> dict[str, Any]:
        """As a run folder keeps it; `glance` is the stored name of `forward_no_grad`."""
        return {"layout": self.layout, "fold": self.fold, "search": self.search, "glance": self.forward_no_grad}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Tuning | None:
        """From what a run folder keeps; None if something is missing."""
        names = ("layout", "fold", "search", "glance")
        return cls(*(stored[name] for name in names)) if all(name in stored for name in names) else None

    @property
    def exact(self) -> bool:
        """Whether the search evaluates the module itself that was given."""
        return self.layout == "contiguous" and not self.fold and self.search == "float32"


class Inferer(Protocol):
    """How the clinic evaluates a network: sliding windows, averages over flips. Part of what is attacked."""

    def __call__(self, inputs: Tensor, network: Callable[[Tensor], Tree]) -> Tree:
        """Outputs for whole inputs (B, C, *spatial), differentiable if `inputs` require a gradient."""

    def example(self, inputs: Tensor) -> Tensor:
        """One input as the network itself sees it: a window of `inputs`."""

    def describe(self) -> str:
        """What it does, in a phrase for a report."""


class Recorder(Protocol):
    """Answers in place of the model what it was asked before, and keeps what it is asked now."""

    def answers(self, samples: Tensor, images: Tensor, ask: Callable[[Tensor], Tree], kind: str) -> Tree:
        """Outputs for `images` (B, C, *spatial) of the named `samples` (B,).

        `ask` gives those of the model; passes of different `kind` may differ for one image.
        """


class Victim:
    """The model under attack: a module with its preprocessing and inference as in the clinic.

    Inside `with victim:` the module is in evaluation mode with frozen parameters; on exit, also by an exception,
    every training flag, `requires_grad` and the global random state are as before. Gradients and buffers of the
    module are never written. `with victim:` may be nested. A module in another number format than the images (half,
    double) gets its input in its own format, and its outputs are returned in that of the images.

    Args:
        module: maps preprocessed images to raw outputs (logits).
        bounds: lowest and highest stored value, for example (0, 255), (-1024, 3071) or (0, 1).
        preprocess: differentiable map from stored values (B, C, *spatial) to the module's input; none by default.
        inferer: how the module is evaluated on that input; in one pass by default.
        tuning: how the search evaluates the module; exact by default.
        watchdog: limits how long one pass may take; no limit by default.
        draws: for a model that draws random numbers: each output is the mean over so many draws, with fixed seeds, so
            that it repeats. The search and `judge` use different seeds: what beats only the draws of the search
            is no success. 1 leaves the model as it is.
        defences: surround preprocessing, inferer and module, in stored values, the first outermost. What is
            attacked, judged and counted is the defended model: a question to it counts once, however often a defence
            asks the module.

    Attributes:
        forwards: images passed forward so far.
        backwards: images passed backward so far.
        recorder: keeps the answers to passes without gradient; None by default.
        samples: the samples (B,) that the next images belong to, for the recorder; None if it does not matter.

    Raises:
        InputError: the bounds are not two increasing finite numbers.
    """

    def __init__(
        self,
        module: nn.Module,
        bounds: tuple[float, float] = (0.0, 1.0),
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        inferer: Inferer | None = None,
        tuning: Tuning = Tuning(),
        watchdog: Watchdog | None = None,
        draws: int = 1,
        defences: Sequence[Defence] = (),
    ):
        if draws < 1:
            raise InputError(f"draws: {draws} must be at least 1.")
        low, high = (float(bounds[0]), float(bounds[1]))
        if not (low < high and high - low < float("inf")):
            raise InputError(f"bounds: ({low:g}, {high:g}) must be two finite numbers, the lower one first.")
        self.module = module
        self.bounds = (low, high)
        self.preprocess = preprocess
        self.inferer = inferer
        self.tuning = tuning
        self.watchdog = watchdog
        self.draws = draws
        self.defences = tuple(defences)
        self.forwards = 0
        self.backwards = 0
        self.recorder: Recorder | None = None
        self.samples: Tensor | None = None
        self._depth = 0
        self._copy: nn.Module | None = None
        self._dtype: torch.dtype | None = None
        self._form: list[tuple[object, ...]] | None = None

    @property
    def exact(self) -> bool:
        """Whether what the search computes decides: it evaluates the module as given, and nothing is random."""
        return self.tuning.exact and self.draws == 1 and all(defence.exact for defence in self.defences)

    # -- state ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Victim:
        if self._depth == 0:
            networks = [self.module, *modules_of(self.defences)]
            self._modes = [(part, part.training) for network in networks for part in network.modules()]
            self._frozen = [(p, p.requires_grad) for network in networks for p in network.parameters()]
            self._random = torch.get_rng_state()
            self._random_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
            with self._users_code():
                for network in networks:
                    network.eval()
            self._dtype = dtype_of(self.module)
            for parameter, _ in self._frozen:
                parameter.requires_grad_(False)
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        # The copy is kept only while the module cannot be trained without notice.
        self._copy = None
        for part, training in self._modes:
            part.training = training
        for parameter, wanted in self._frozen:
            parameter.requires_grad_(wanted)
        torch.set_rng_state(self._random)
        if self._random_cuda:
            torch.cuda.set_rng_state_all(self._random_cuda)

    # -- passes --------------------------------------------------------------------------------------------------

    def judge(self, images: Tensor) -> Tree:
        """Outputs of the module as it was given, without gradient: every verdict uses them.

        Raises:
            ModelError: the user's code raised; this applies to every other pass too.
            InputError: its output has another form than before, or the pass took longer than the watchdog allows.
        """
        self._require_entered()
        self.forwards += len(images)
        with torch.no_grad():
            return self._answered(images, lambda asked: self._run(self.module, asked, JUDGE), "judge")

    def search(self, images: Tensor) -> Tree:
        """Outputs for the search, differentiable in `images`, computed with the settings of `tuning`."""
        self._require_entered()
        self.forwards += len(images)
        return self._answered(images, lambda asked: self._run_tuned(asked, self.tuning.search), "search")

    def score(self, images: Tensor) -> Tree:
        """What `search` computes, without gradient."""
        with torch.no_grad():
            return self.search(images)

    def forward_no_grad(self, images: Tensor) -> Tree:
        """Outputs without gradient, in the arithmetic of `tuning.forward_no_grad`; never for a verdict."""
        self._require_entered()
        self.forwards += len(images)
        with torch.no_grad():
            return self._run_tuned(images, self.tuning.forward_no_grad)

    def gradient(self, values: Tensor, images: Tensor, *, keep_graph: bool = False) -> Tensor:
        """Gradient of the sum of per-sample `values` (B,) with respect to `images` (B, ...).

        Raises:
            InputError: no gradient flows from the outputs to the images.
        """
        self.backwards += len(images)
        total = values.sum()
        try:
            with self._users_code():
                (gradient,) = torch.autograd.grad(total, images, retain_graph=keep_graph)
        except ModelError as error:
            if "does not require grad" not in str(error) and "not have been used" not in str(error):
                raise
            place = self._place(images[:1])
            raise NoGradientError(
                f"model: no gradient flows from its output to its input{f': {place}' if place else '.'} "
                "Or use an attack that needs no gradient: square, hopskipjump, noise."
            ) from error
        # A search in channels-last returns that layout, in which everything after it would be slower.
        return gradient.contiguous()

    def _place(self, images: Tensor) -> str | None:
        try:
            return self.where_blocked(images) if self._depth else None
        except InputError:  # it is already known that no gradient flows
            return None

    def where_blocked(self, images: Tensor) -> str | None:
        """What keeps the gradient from reaching `images` (B, C, *spatial), with its fix; None if nothing does.

        Each step of the preprocessing is tried separately, then the module as it is evaluated. Passes are not counted.
        """
        self._require_entered()
        images = images.detach()
        with self._users_code():
            step = where_blocked(self.preprocess, images)
        if step is not None:
            return step
        if is_opaque(self.module):
            return "the model computes outside torch: it is a black box that gives only outputs."
        with torch.no_grad(), self._users_code():
            inputs = images if self.preprocess is None else self.preprocess(images)
        inputs = inputs.detach().clone()
        inputs = (inputs if self._dtype is None else inputs.to(self._dtype)).requires_grad_()
        with torch.enable_grad(), self._users_code():
            outputs = self.module(inputs) if self.inferer is None else self.inferer(inputs, self.module)
        floating = [output for output in leaves(outputs) if output.is_floating_point()]
        with self._users_code():
            why = [gradient_missing(output, inputs) for output in floating]
        if floating and not all(why):
            return self._blocked_by_defence(images)
        said = why[0] if why else "its outputs are whole numbers"
        return f"the model blocks gradients: {said}. Remove detach, argmax, rounding, numpy or no_grad inside it."

    def _blocked_by_defence(self, images: Tensor) -> str | None:
        for defence in self.defences:
            place = images.clone().requires_grad_()
            with torch.enable_grad():
                outputs = defence(place, Inside(self._pass, self.module), SEARCH)
            if all(gradient_missing(output, place) for output in leaves(outputs) if output.is_floating_point()):
                return (
                    f"the defence {defence.describe()} blocks gradients. Pass them straight through in search passes."
                )
        return None

    def _answered(self, images: Tensor, ask: Callable[[Tensor], Tree], kind: str) -> Tree:
        if self.recorder is None or self.samples is None or torch.is_grad_enabled():
            return ask(images)
        return self.recorder.answers(self.samples, images, ask, kind)

    def _run_tuned(self, images: Tensor, precision: Precision) -> Tree:
        network = self.module if self.tuning.exact else self._search_copy(images)
        if precision == "float32":
            return self._run(network, images, SEARCH)
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            outputs = self._run(network, images, SEARCH)
        return mapped(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor, outputs)

    def _run(self, network: nn.Module, images: Tensor, how: Pass) -> Tree:
        run = defended(self.defences, self._pass, how)
        if self.draws == 1 or not len(images):
            outputs = run(network, images)
        else:
            outputs = expected(lambda row: run(network, row), images, how.seed, self.draws)
        if self.defences:
            self._require_form(outputs, len(images))
        return outputs

    def _pass(self, network: nn.Module, images: Tensor) -> Tree:
        inputs = images
        if self.preprocess is not None:
            with self._users_code():
                inputs = self.preprocess(images)
        if not isinstance(inputs, Tensor):
            raise InputError(f"preprocess: it returned {type(inputs).__name__}. Return one tensor of images.")
        if shares_memory(inputs, images):
            # A model may compute in place; the attack's own images stay as they are.
            inputs = inputs.clone()
        if network is not self.module and self.tuning.layout == "channels_last":
            inputs = inputs.contiguous(memory_format=channels_last(inputs))
        dtype = self._dtype if network in (self.module, self._copy) else dtype_of(network)
        if dtype is not None and inputs.is_floating_point() and inputs.dtype != dtype:
            inputs = inputs.to(dtype)
        with self._users_code():
            outputs = network(inputs) if self.inferer is None else self.inferer(inputs, network)
            if isinstance(outputs, Tensor) and type(outputs) is not Tensor:
                # A user's class has its own methods, which would run outside of this boundary.
                with torch._C.DisableTorchFunctionSubclass():
                    outputs = outputs.as_subclass(Tensor)
        if not isinstance(outputs, Tensor) and not (isinstance(outputs, tuple) and hasattr(outputs, "_fields")):
            reads = "palpate reads one tensor of logits, or palpate.annotations.Candidates of a detector"
            raise InputError(not_read(outputs, reads))
        if not self.defences:
            self._require_form(outputs, len(images))
        # Margins and losses are computed in the images' format, whatever the model's own is.
        foreign = (*_COARSE, torch.float64) if dtype == torch.float64 else _COARSE
        if any(isinstance(part, Tensor) and part.dtype in foreign for part in parts(outputs)):
            return mapped(lambda part: part.to(images.dtype) if part.dtype in foreign else part, outputs)
        return outputs

    def expect(self, outputs: Tree) -> None:
        """From now on, refuse a pass whose outputs differ from these in axes, types or classes."""
        self._form = form(outputs)

    def _require_form(self, outputs: Tree, count: int) -> None:
        if self._form is None:
            return
        tensors = leaves(outputs)
        if form(outputs) != self._form or any(tensor.shape[:1] != (count,) for tensor in tensors):
            shapes = " and ".join(f"{list(tensor.shape)} ({tensor.dtype})".replace("torch.", "") for tensor in tensors)
            raise InputError(
                f"model: its output changes during the run, to {shapes or 'nothing'} for {count} images. "
                "Axes, number format and classes must be the same in every pass. Correct the model."
            )

    def _users_code(self) -> UserCode:
        return UserCode(self.watchdog)

    def _search_copy(self, images: Tensor) -> nn.Module:
        if self._copy is None:
            with torch.no_grad(), self._users_code():
                example = images[:1] if self.preprocess is None else self.preprocess(images[:1])
                if self._dtype is not None:
                    example = example.to(self._dtype)
                if self.inferer is not None:
                    example = self.inferer.example(example)
            with self._users_code():
                self._copy = prepare_copy(self.module, example, self.tuning)
        return self._copy

    def _require_entered(self) -> None:
        if not self._depth:
            raise RuntimeError("a victim can be used only inside `with victim:`, where its module is frozen")


def prepare_copy(module: nn.Module, example: Tensor, tuning: Tuning) -> nn.Module:
    """What the search evaluates in place of `module`: a copy, folded and laid out as in `tuning`.

    Compiled modules (TorchScript) and those outside torch have no parts to fold and are evaluated as they are.
    """
    plain = tuning.layout == "contiguous" and not tuning.fold
    if isinstance(module, torch.jit.ScriptModule) or plain or is_opaque(module):
        return module
    network = fold_batch_norms(module, example) if tuning.fold else copied(module)
    if network is module:
        return module
    if tuning.layout == "channels_last":
        network = network.to(memory_format=channels_last(example))  # type: ignore[call-overload]
    if tuning.fold:
        ease_strided_inputs(network)
    return network.requires_grad_(False)
