"""Loads, evaluates and norms quizzes. All but loading needs the extra `training`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from commands.interests import SURVEY, evaluate_interests
from commands.terminal import connected_as_owner, databases, fail, load_settings, progress, require_packages
from db import instrument_files, instruments
from db.embedded import Dsns
from db.instruments import MIN_ASSESSMENTS, MIN_QUALITY, Stored
from db.migrations import MigrationError
from domain.instruments import BadInstrument, Document, Instrument, TraitNorm, norms_to_json, with_norms

Responses = Annotated[
    Path | None, typer.Argument(help="Comma- or tab-separated answers, gzipped or not, with a column per item code.")
]
Code = Annotated[str, typer.Option("--instrument", help="A TOML file, or the code of an instrument.")]


def _instrument(name: str, *, with_norms: bool) -> Instrument:
    """The instrument of a file, the shipped one of this code, or that in the database."""
    path = instrument_files.find(name)
    try:
        if path is None:
            found = _stored_instrument(name)
            return found if with_norms else replace(found, norms={})
        load = instrument_files.load if with_norms else instrument_files.load_without_norms
        return load(path).instrument
    except BadInstrument as error:
        fail(str(error))


def _stored_instrument(code: str) -> Instrument:
    async def find(dsns: Dsns) -> Instrument:
        async with connected_as_owner(dsns) as owner:
            found = await instruments.newest(owner, code)
        if found is None:
            raise BadInstrument(f"--instrument: there is no file {code}, nor an instrument of that code")
        return found.instrument

    with databases(load_settings()) as dsns:
        return asyncio.run(find(dsns))


def evaluate(
    instrument: Code = "",
    file: Responses = None,
    simulate: Annotated[int, typer.Option(help="Evaluate this many simulated people instead.", min=0)] = 0,
    short: Annotated[
        list[str] | None, typer.Option(help='A further short form of one trait, such as "E2- E5 E7 E10-"; repeatable.')
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Save plots as PNG files in this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Halves the people; another number gives other halves.", min=0)] = 1,
    people: Annotated[int, typer.Option(help="How many people's adaptive order to try.", min=1, max=10_000)] = 100,
    history: Annotated[bool, typer.Option(help="Also test-retest, from the assessments in the database.")] = False,
    interests: Annotated[
        bool,
        typer.Option("--interests", help="How well traits predict interests instead; FILE is the Young People Survey."),
    ] = False,
    evidence: Annotated[
        Path | None, typer.Option(help="With --interests, save the figures that the mappings rest on in this folder.")
    ] = None,
) -> None:
    """Evaluate an instrument on responses: items, reliability, norms, short forms, adaptive order."""
    require_packages("numpy", "matplotlib")
    if evidence and not interests:
        fail("--evidence: only with --interests")
    if interests:
        if file is None or simulate:
            fail("--interests: give the FILE of the Young People Survey")
        evaluate_interests(file, _instrument(instrument or SURVEY, with_norms=False), seed, evidence)
        return
    if not instrument:
        fail("--instrument: give a TOML file, or the code of a shipped instrument")
    from commands import retests
    from training import plots as drawing
    from training import report
    from training.evaluation import BadForm, short_form
    from training.evaluation import evaluate as computed
    from training.norms import TooFewPeople
    from training.responses import BadResponses, read
    from training.retests import retest
    from training.simulation import simulate as simulated

    if (file is None) == (simulate == 0):
        fail("evaluate: give either a FILE of responses or --simulate")
    found = _instrument(instrument, with_norms=True)
    try:
        shorts = [short_form(found, text) for text in short or ()]
        responses = read(file, found) if file else simulated(found, simulate, seed)
        with progress("Evaluating") as advance:
            advance(f"{len(responses.answers):,} people")
            evaluation = computed(found, responses, shorts, seed=seed, people=people)
        for line in report.lines(evaluation):
            print(line)
        if history:
            for line in report.retest_lines(retest(found.traits, retests.pairs(found))):
                print(line)
        if plots:
            for path in drawing.save(evaluation, plots):
                print(f"saved {path}")
    except (BadForm, BadResponses, TooFewPeople) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--plots: {error}")


def norm(
    instrument: Code,
    output: Annotated[
        Path | None, typer.Option(help="The norms file; beside the instrument it is <name>.norms.json.")
    ] = None,
    file: Responses = None,
    simulate: Annotated[int, typer.Option(help="Simulate this many people instead: provisional norms.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of the simulation.", min=0)] = 1,
) -> None:
    """Estimate an instrument's norms from a file of responses, from a simulation, or, with neither, from the quizzes
    taken here. Norms of a file or a simulation go to --output; those of quizzes replace the norms in the database."""
    require_packages("numpy", "matplotlib")
    from training.norms import TooFewPeople, estimate
    from training.responses import BadResponses, read
    from training.simulation import simulate as simulated

    found = _instrument(instrument, with_norms=False)
    if file is not None and simulate:
        fail("norm: give either a FILE of responses or --simulate")
    if file is None and not simulate:
        if output is not None:
            fail("norm: --output is of norms from a FILE or --simulate; those of quizzes go to the database")
        _print_norms(_norm_from_quizzes(found))
        print("stored in the database; the API scores the next quiz with them")
        return
    if output is None:
        fail("norm: say where to write the norms with --output")
    try:
        if file is None:
            responses, method = simulated(found, simulate, seed), f"simulation of {simulate} people, seed {seed}"
        else:
            responses, method = read(file, found), f"responses in {file.name}"
        norms = estimate(found, responses, is_provisional=file is None)
        output.write_text(norms_to_json(found, norms, method) + "\n", encoding="utf-8")
    except (BadResponses, TooFewPeople) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--output: {error}")
    _print_norms(norms)
    print(f"saved {output}")


def _print_norms(norms: dict[str, TraitNorm]) -> None:
    for trait, of_trait in norms.items():
        short = f", short form {of_trait.short.alpha:.3f}" if of_trait.short else ""
        print(f"{trait:24}{of_trait.n:>8,} people   alpha {of_trait.full.alpha:.3f}{short}")


def _norm_from_quizzes(instrument: Instrument) -> dict[str, TraitNorm]:
    from training.norms import TooFewPeople

    with databases(load_settings()) as dsns:
        try:
            return asyncio.run(_stored_norms(dsns, instrument))
        except (MigrationError, BadInstrument, TooFewPeople) as error:
            fail(str(error))


async def _stored_norms(dsns: Dsns, instrument: Instrument) -> dict[str, TraitNorm]:
    """Raises BadInstrument if the version is not in the database or too few people have answered it."""
    import numpy as np

    from training.norms import estimate
    from training.responses import Responses as Answers

    async with connected_as_owner(dsns) as owner:
        if await instruments.read(owner, instrument.code, instrument.version) is None:
            raise BadInstrument(f"{instrument.code} {instrument.version} is not in the database: aclue quiz load")
        answers = await instruments.full_assessments(owner, instrument)
        if len(answers) < MIN_ASSESSMENTS:
            raise BadInstrument(
                f"{len(answers)} people who allow it have answered all of {instrument.code} {instrument.version} with"
                f" a quality of {MIN_QUALITY} or more; norms need {MIN_ASSESSMENTS}"
            )
        norms = estimate(instrument, Answers(np.array(answers, dtype=float)), is_provisional=False)
        await instruments.store_norms(owner, with_norms(instrument, norms), source="assessments")
    return norms


def load(
    file: Annotated[Path, typer.Argument(help="A TOML file; its norms are in <name>.norms.json beside it.")],
    activate: Annotated[bool, typer.Option("--activate", help="From now on it is the quiz that people take.")] = False,
) -> None:
    """Load an instrument into the database, or update the texts and norms of a version that is there."""
    try:
        document = instrument_files.load(file)
    except BadInstrument as error:
        fail(str(error))
    with databases(load_settings()) as dsns:
        try:
            stored = asyncio.run(_load(dsns, document, activate))
        except (MigrationError, BadInstrument) as error:
            fail(str(error))
    name = f"{document.instrument.code} {document.instrument.version}"
    print(f"{name} {'is new' if stored.is_new else 'was there'}: {len(document.instrument.items)} questions")
    print("people take it now" if stored.is_current else "people do not take it: --activate")


async def _load(dsns: Dsns, document: Document, activate: bool) -> Stored:
    async with connected_as_owner(dsns) as owner:
        return await instruments.store(owner, document, activate=activate)
