"""The stage that compares released images with private ones."""

from leakbench.attacks.judging.truth import single
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.stages.seen import from_all_over
from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import Described, described
from leakbench.metrics.extraction import extracted
from leakbench.metrics.fidelity import ALONE, fidelity
from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.rates import clopper_pearson
from leakbench.metrics.visual import compare
from leakbench.reports.records import Cell, Record
from leakbench.synth.images import Images
from leakbench.synth.networks.public import digests, missing, public_features


def visual_stage(context: RunContext, cell: Cell) -> Outcome:
    """Compare a release with the private images it came from, the nearest ones, and the nearest strangers'."""
    release, sources = context.attacked(cell.defense, cell.seed)
    parts = context.parts(cell.seed)
    images, members = release.images, parts.members
    paired, pairing = single(sources), "source"
    if paired is None:
        paired = nearest(
            images.pixels, members.pixels, query_labels=images.labels, candidate_labels=members.labels
        ).position
        pairing = "nearest of the class"
    seed = context.seed("visual", cell.id)
    found = [compare("paired", images.pixels, members.pixels[paired], seed=seed)]
    for name, candidates in (("nearest", members), ("stranger", parts.holdout)):
        index = nearest(images.pixels, candidates.pixels).position
        found.append(compare(name, images.pixels, candidates.pixels[index], seed=seed))
    seen = described(images.pixels)
    copied = [_copied(name, who, seen) for name, who in context.looked_for(cell.seed).items()]
    given_back = [_given_back(name, who, images) for name, who in (("private", members), ("stranger", parts.holdout))]
    found += _as_sets(context, cell, images)
    measured = (*(m for judgement in found for m in judgement.measurements), *copied, *given_back)
    absent = {name: why for judgement in found for name, why in judgement.absent.items()}
    return Outcome(Judgement(measured, absent), paired_with=pairing)


def _as_sets(context: RunContext, cell: Cell, images: Images) -> list[Judgement]:
    """How far the release is from private images and from strangers, through a public network, where one is at hand."""
    try:
        look = public_features(context.device)
    except ValueError as error:  # everything else that is measured here does without
        return [Judgement((), {f"{name}.kernel": str(error) for name in ("private", "stranger")})]
    others = context.seen_publicly(cell.seed)
    seen = look(from_all_over(images, len(others["private"]))).double().numpy()
    variant = f"features of a public network, weights {digests()[0][:12]}"
    return [fidelity(name, seen, features, variant) for name, features in others.items()]


def lacks_network(record: Record) -> bool:
    """Whether a release could not be compared as a set, for want of a sound network, and may be now."""
    return record.absent.get("private.kernel", ALONE) != ALONE and not missing()


def _copied(name: str, pictures: Described, released: Described) -> Measurement:
    """How many of these pictures the release shows, whole or in part."""
    found = find_copies(pictures, released)
    return _share(f"{name}.copied", len(found), len(pictures), "hashes, pixels, frequencies and local features")


def _given_back(name: str, images: Images, released: Images) -> Measurement:
    """How many of these images the release gives back by the rule of `metrics.extraction`."""
    found = int(extracted(released.pixels, images.pixels).sum())
    return _share(f"{name}.extracted", found, len(images), "arXiv 2301.13188: n = 50, alpha = 0.5")


def _share(name: str, found: int, count: int, variant: str) -> Measurement:
    rate = clopper_pearson(found, count)
    return Measurement.percent(name, rate, n=count, better="lower", variant=f"{variant}; Clopper-Pearson")
