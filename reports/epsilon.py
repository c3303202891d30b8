"""What attacks say of a defense's formal guarantee."""

from dataclasses import dataclass

from leakbench.metrics.measurement import Measurement
from leakbench.reports.records import Guarantee
from leakbench.reports.verdicts import Results


@dataclass(frozen=True)
class Epsilon:
    """What an attack says of a defense's formal guarantee.

    Args:
        bound: no epsilon below it allows what was found; None where there is none.
        claim: the epsilon that the defense claims, or None.
        comparable: whether the claim is for the same neighbours, and the attack's controls passed.
        gaussian: the bound where the mechanism's trade-off curve is Gaussian, which the claim says; else None.
    """

    bound: Measurement | None
    claim: float | None
    comparable: bool
    gaussian: Measurement | None = None

    @property
    def contradicted(self) -> bool:
        """Whether the claim is wrong, at the bound's confidence: of one attack, of many that is not corrected for."""
        bound = self.gaussian or self.bound  # one test of the claim, not two
        return bool(self.comparable and bound and self.claim is not None and bound.value > self.claim)


def epsilon(results: Results, defense: str, attack: str) -> Epsilon:
    """The lower bound for the neighbours of the claim on what was attacked; else any, beside no claim."""
    claim = next((r.claim for r in results.rows(defense, "attack", attack)), Guarantee())
    names = {"replace one image": "", "add/remove one image": "-add-remove"}
    same = names.get(claim.get("relation", ""))
    bounds = {end: _least(results, defense, attack, f"members.epsilon{end}") for end in names.values()}
    bound = None if same is None else bounds[same]
    if bound is None:
        return Epsilon(next(filter(None, bounds.values()), None), claim.get("epsilon"), comparable=False)
    gaussian = _least(results, defense, attack, f"members.epsilon-gaussian{same}")
    comparable = results.control(attack, "members").validated
    return Epsilon(bound, claim.get("epsilon"), comparable=comparable, gaussian=gaussian)


def _least(results: Results, defense: str, attack: str, name: str) -> Measurement | None:
    """The smallest of the seeds' lower bounds: their mean would be no bound."""
    found = [record.get(name) for record in results.rows(defense, "attack", attack)]
    if len(found) < results.seeds or not all(found):
        return None
    return min((m for m in found if m), key=lambda m: m.value)
