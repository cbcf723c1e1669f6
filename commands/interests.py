"""The part of `aclue quiz evaluate` about interests."""

from __future__ import annotations

from pathlib import Path

from commands.terminal import fail, progress
from db import reference
from domain.instruments import Instrument

SURVEY = "young-people-survey"  # the key of the file, in catalogue/instruments
CATALOGUE = Path(__file__).resolve().parent.parent / "catalogue"
INTERESTS = CATALOGUE / "instruments" / "young-people-interests.csv"
MAPPINGS = reference.FOLDER / "mappings.csv"


def evaluate_interests(file: Path, instrument: Instrument, seed: int, evidence: Path | None) -> None:
    """Prints how well the traits of this key predict the interests of held-out people; `evidence` is a folder for the
    figures that the mappings rest on."""
    from training import evidence as links
    from training import interest_report, interests

    try:
        survey = interests.read_survey(file, instrument, interests.read_interests(INTERESTS))
    except (OSError, EOFError, ValueError) as error:
        fail(str(error))
    with progress("Evaluating") as advance:
        advance(f"{len(survey.ratings):,} people")
        report = interests.evaluate(survey, seed)
        proposals = links.propose(survey)
        calibration = links.calibrate(survey, links.read_weights(MAPPINGS), seed)
    for line in (*interest_report.lines(survey, report), "", *interest_report.evidence_lines(proposals, calibration)):
        print(line)
    if evidence:
        try:
            links.write_links(evidence / "evidence.csv", links.correlate(survey))
            links.write_proposals(evidence / "evidence_mappings.csv", proposals)
        except OSError as error:
            fail(f"--evidence: {error}")
        print(f"saved evidence.csv and evidence_mappings.csv in {evidence}")
