"""What the report of an audit says, for the person who signs: verdict, reasons, what to take out."""

import datetime
import hashlib
from typing import TYPE_CHECKING, Any

from leakbench.benchmarks.audit.copy_verdict import MISSED, featureless
from leakbench.benchmarks.audit.folders import Folder
from leakbench.benchmarks.audit.risky import COPY
from leakbench.benchmarks.storage.environment import environment
from leakbench.metrics.decision import LEAKS, UNKNOWN

if TYPE_CHECKING:
    from leakbench.benchmarks.audit.result import Audit, Part

SHOWN = 20
"""Private pictures that a report shows, at most."""
MEANINGS = {
    LEAKS: "Do not publish this release as it is. Take out what is named below, find out how it came in, and audit "
    "what is left.",
    UNKNOWN: "Nobody can say from these pictures whether the release gives somebody away. The reasons say what is "
    "missing; with it, audit again.",
}
SILENCE = (
    "Nothing was found by what is listed below, at the power that is stated with it. This is no proof of safety: what "
    "was not looked for was not found either."
)
METHOD = (
    "Copies are looked for by hashes, by pixels at every shift, and by local features that agree on a map between both "
    "pictures. Attacks rank private pictures and half of the holdout by the release, all together and each class by "
    "itself; what counts as a leak was fixed before, so that all attacks together raise a false alarm in at most 5 % "
    "of audits of releases that owe nothing to their private pictures. The blind control says whether private pictures "
    "and holdout differ without the release, in which case what attacks find counts for nothing."
)


def content(found: "Audit") -> dict[str, Any]:
    """All that the report prints, as text.

    Args:
        found: by the audit.
    """
    folders = found.folders
    given = {"private": folders.private, "released": folders.released, "holdout": folders.holdout}
    power = [reason for reason in found.reasons if reason.startswith("power: ")]
    return {
        "title": "Privacy audit of a release",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "verdict": found.verdict,
        "meaning": MEANINGS.get(found.verdict, SILENCE),
        "parts": [_first(part) for part in found.parts],
        "looked": [*power, *featureless(folders), f"Not found: {MISSED}"],
        "take_out": _take_out(found),
        "sources": [_source(what, folder) for what, folder in given.items() if folder is not None],
        "pairs": [{key: row[key] for key in ("private", "released", "why")} for row in found.risky[:SHOWN]],
        "reasons": found.reasons,
        "figures": _figures(found),
        "method": METHOD,
        "environment": environment("cpu"),
    }


def _first(part: "Part") -> dict[str, str]:
    """A question, its answer, and the reason that comes first; where attacks tell, theirs."""
    telling = [reason for reason in part.reasons if ": tells " in reason]
    reason = next(iter(telling or part.reasons), "").removeprefix(f"{part.question}: ")
    return {"question": part.question, "verdict": part.verdict, "reason": reason}


def _take_out(found: "Audit") -> str:
    copied = sum(row["kind"] == COPY for row in found.risky)
    others = len(found.risky) - copied
    if not found.risky:
        return "Nothing was named."
    named = [f"{copied} private pictures have a copy in the release"] * bool(copied)
    named += [f"{others} are told by attacks before every picture of the holdout"] * bool(others)
    more = f", the first {SHOWN} of which are shown here" * (len(found.risky) > SHOWN)
    return f"{'; '.join(named)}: riskiest.csv names them{more}, each with the released picture that is nearest."


def _source(what: str, folder: Folder) -> dict[str, str]:
    """Pictures are known by their pixels, whatever their names and order."""
    pixels = hashlib.sha256(b"".join(sorted(ways[0] for ways in folder.described.digests))).hexdigest()
    return {"what": what, "where": folder.pictures.where, "count": f"{len(folder):,}", "digest": pixels}


def _figures(found: "Audit") -> list[list[str]]:
    """What decides: by how much each attack exceeds chance. audit.json has the rest."""

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    return [
        [attack, one.name, shown(one.value), shown(one.low), shown(one.high), f"{one.n:,}"]
        for attack, measured in found.measured.items()
        for one in measured
        if one.name.endswith(".excess")
    ]
