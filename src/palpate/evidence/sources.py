"""What laws, standards and guidance say about robustness, as far as it was read; texts of the tool say "see"."""

from __future__ import annotations

from dataclasses import dataclass

READ = "November 2026"
"""When the sources were read."""

_PASSAGE = "this passage"
_COPY = "this passage, in a copy of the text"
_SECONDARY = "not the text, only a page about it; check the text"


@dataclass(frozen=True)
class Source:
    """One text.

    Attributes:
        text: its name and the passage.
        about: what it is about, in our words.
        read: which part of it was read.
        here: what this folder holds for it.
    """

    text: str
    about: str
    read: str
    here: str


SOURCES = (
    Source(
        "EU AI Act (Regulation (EU) 2024/1689), Art. 15(1) and (3)",
        "appropriate accuracy, robustness and cybersecurity over the life cycle; accuracy metrics in the instructions",
        _COPY,
        "results.json, tables, texts.md",
    ),
    Source(
        "EU AI Act, Art. 15(4) and recital 75",
        "resilience to errors, faults, inconsistencies and the environment",
        _COPY,
        "artefacts in the report and in tables/artefacts.csv",
    ),
    Source(
        "EU AI Act, Art. 15(5)",
        "where appropriate: prevent, detect, respond to, resolve and control data poisoning, adversarial examples or "
        "model evasion, confidentiality attacks, flaws of the model",
        _COPY,
        "evasion only: report, traceability.csv; the other attacks are listed as not tested",
    ),
    Source(
        "EU AI Act, Art. 13(3)(b)(ii)",
        "instructions for use name the level of accuracy, robustness and cybersecurity that was tested and validated, "
        "and circumstances that may change it",
        _PASSAGE,
        "texts.md",
    ),
    Source(
        "EU AI Act, Annex IV 2(g) and (h)",
        "validation and test procedures, metrics of robustness, test logs and test reports dated and signed",
        _PASSAGE,
        "test_report.html, with a place for date and signature; run.json and records of the run folder",
    ),
    Source(
        "Regulation (EU) 2026/1744, in force 27 July 2026",
        "obligations apply from 2 December 2027 (Annex III) and 2 August 2028 (Annex I, medical devices)",
        _SECONDARY,
        "nothing",
    ),
    Source(
        "prEN 18282, enquiry of May 2026",
        "cybersecurity of AI systems; its scope repeats Art. 15(5)",
        "its scope only",
        "as for Art. 15(5)",
    ),
    Source(
        "FDA, AI-enabled device software functions, draft of January 2025, section XII",
        "seven threats, model evasion among them",
        _SECONDARY,
        "model evasion: report, traceability.csv",
    ),
    Source(
        "FDA, cybersecurity in medical devices (premarket), reissued 3 February 2026",
        "tests with abuse cases, robustness and fuzzing; a report of penetration tests names independence, scope, "
        "duration, methods and results",
        _SECONDARY,
        "test_report.html has these headings; it is not a penetration test of the device",
    ),
    Source(
        "AAMI CR515:2025",
        "threats to devices with machine learning",
        _SECONDARY,
        "traceability.csv",
    ),
    Source(
        "IEC 81001-5-1, 5.7.2 to 5.7.5",
        "test each mitigation, try to thwart it, show that it adds no weakness; abuse and fuzz tests; independence of "
        "testers",
        _SECONDARY,
        "with --comparison: the mitigation, attacks that its training never used, and its price",
    ),
    Source(
        "ISO/IEC 24029-2:2023, 5.3 to 5.6",
        "stability, sensitivity, relevance, reachability of neural networks",
        "its table of contents only",
        "certificates and curves over budgets",
    ),
    Source(
        "IMDRF N88:2025, principle 8",
        "testing in clinically relevant conditions",
        _SECONDARY,
        "artefacts, post-processing",
    ),
    Source(
        "MITRE ATLAS v5.6.1",
        "identifiers of attack techniques and mitigations",
        "the entries that are used here",
        "traceability.csv",
    ),
)
