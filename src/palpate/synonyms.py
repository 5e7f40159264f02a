"""What other libraries call palpate's attacks, parameters and fields of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RADII = ", in radii: 0.25 is a quarter of the budget"

_CALLED: dict[str, tuple[str, ...]] = {
    # Attacks.
    "strongest": ("autoattack", "aa", "autoattackplus"),
    "pgd": ("projectedgradientdescent", "linfpgd", "pgdlinf", "l2pgd", "pgdl2", "linfprojectedgradientdescentattack",
            "l2projectedgradientdescentattack", "madry"),
    "fgsm": ("fastgradientsignmethod", "fastgradientmethod", "fastgradient", "fgm", "linffastgradientattack"),
    "bim": ("basiciterativemethod", "ifgsm", "iterativefgsm", "linfbasiciterativeattack"),
    "mi": ("mifgsm", "mim", "momentumiterativemethod", "momentum"),
    "ni": ("nifgsm",),
    "ti": ("tifgsm", "tim"),
    "di": ("difgsm", "dim", "di2fgsm"),
    "apgd-ce": ("apgd", "autopgd", "autoprojectedgradientdescent"),
    "apgd-margin": ("apgddlr", "apgdt", "apgdtargeted", "apgdcw"),
    "square": ("squareattack",),
    "hopskipjump": ("hsja", "hopskipjumpattack"),
    "noise": ("randomnoise", "uniformnoise"),
    "universal": ("uap", "universalperturbation", "universaladversarialperturbation"),
    "ddn": ("decoupleddirectionnorm", "ddnattack"),
    "fmn": ("fastminimumnorm", "fmnattack", "linffmnattack"),
    "alma-prox": ("almaproxsegmentation",),
    # Parameters and fields.
    "eps": ("epsilon", "epsilons", "epsmax", "maxeps", "radius", "budget", "perturbation"),
    "step": ("alpha", "stepsize", "epsiter", "epsstep", "relstepsize", "absstepsize", "lr",
             "learningrate"),
    "steps": ("numiter", "iters", "niter", "nbiter", "maxiter", "iterations", "numsteps", "nsteps", "niterations",
              "numiterations", "maxiterations", "nbsteps"),
    "restarts": ("nrestarts", "numrestarts", "nbrestarts", "numrandominit"),
    "queries": ("nqueries", "maxqueries", "numqueries", "maxnumevals"),
    "tries": ("ntries", "trials", "samples"),
    "decay": ("decayfactor", "mu"),
    "classes": ("nclasses", "numclasses", "nbclasses"),
    "structures": ("nclasses", "numclasses", "nbclasses"),
    "findings": ("nclasses", "numclasses", "numlabels", "nlabels"),
    "bounds": ("clipvalues", "clipmin", "clipmax", "minval", "maxval", "datarange", "valuerange"),
    "goal": ("targeted", "target", "targetclass", "targetlabel"),
    "norm": ("ord", "normord", "pnorm"),
    "batch": ("batchsize", "bs"),
    "seed": ("randomstate", "randomseed", "generator", "rngseed"),
    "preprocess": ("preprocessing", "normalize", "normalise", "normalization", "transform", "transforms"),
    "attacks": ("attack", "attackname"),
    "name": ("attack", "attackname"),
    "module": ("model", "net", "network", "classifier", "fmodel", "estimator"),
    "model": ("module", "net", "network", "classifier", "fmodel", "estimator"),
    "targets": ("labels", "y", "target"),
    "data": ("loader", "dataloader", "dataset", "images", "x"),
    "images": ("x", "inputs"),
    # Values.
    "linf": ("inf", "linfinity", "infinity", "max"),
    "l2": ("2", "euclidean"),
    "l1": ("1", "manhattan"),
}  # fmt: skip
"""palpate's name -> other names, in small letters and without marks between words."""

_OTHERS = {
    **dict.fromkeys(
        ("cw", "cwl2", "carliniwagner", "carlinil2method", "l2carliniwagnerattack", "deepfool", "ead"),
        ("fmn", "another search for the smallest change"),
    ),
    **dict.fromkeys(
        ("boundary", "boundaryattack", "geoda", "qeba", "evolutionary"),
        ("hopskipjump", "another search from decisions alone"),
    ),
}
"""Attacks that palpate lacks -> the attack of the same purpose, and what that is."""

_NOTES = {"step": _RADII}


def plain(name: str) -> str:
    """A name in small letters, without marks: `PGD` and `pgd`, `apgd_ce` and `APGD-CE` are the same.

    >>> plain("APGD-CE"), plain("num_iter")
    ('apgdce', 'numiter')
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def same(name: str, choices: Iterable[str]) -> str | None:
    """The one of the choices that is `name`, or else differs from it by small and capital letters alone.

    >>> same("PGD", ["pgd", "bim"]), same("apgd", ["apgd-ce"])
    ('pgd', None)
    """
    known = [choice for choice in choices if choice.casefold() == name.casefold()]
    return name if name in known else next(iter(known), None)


def called(name: str, choices: Iterable[str]) -> str | None:
    """What `name` is called here: the first of palpate's names for it that is one of the choices; None if none is.

    >>> called("num_iter", ["steps", "step"]), called("n_classes", ["structures"]), called("apgd_ce", ["apgd-ce"])
    ('steps', 'structures', 'apgd-ce')
    """
    known, given = list(choices), plain(name)
    spelled = next((choice for choice in known if given and plain(choice) == given), None)
    return spelled or _listed(given, known)


def _listed(given: str, known: list[str]) -> str | None:
    return next((ours for ours, theirs in _CALLED.items() if given in theirs and ours in known), None)


def hint(name: str, choices: Iterable[str]) -> str | None:
    """A closing sentence that says what `name` is called in palpate; None if it is no name of another library.

    >>> hint("AA", ["strongest", "pgd"])
    "palpate's is called 'strongest'."
    >>> hint("step_size", ["step", "steps"])
    "palpate's is called 'step', in radii: 0.25 is a quarter of the budget."
    """
    known = list(choices)
    if (ours := _listed(plain(name), known)) is not None:
        return f"palpate's is called '{ours}'{_NOTES.get(ours, '')}."
    other, what = _OTHERS.get(plain(name), ("", ""))
    return f"palpate has {what}: '{other}'." if other in known else None
