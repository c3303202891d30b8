"""What attacks found of members, one short table for each family: the measurement that says most, and its control."""

from leakbench.metrics import decision
from leakbench.reports.glance import FAMILIES, families, share
from leakbench.reports.leakage_columns import LEAKAGE
from leakbench.reports.table import Table, digits, short, show
from leakbench.reports.verdicts import Results

HEADS = {name: head for _, _, columns in LEAKAGE.values() for name, head in columns}
COLUMNS = ("Defense", "Attack", "worked", "members leak", "of what", "attack", "control", "excess")


def told_by(results: Results, defense: str, attack: str) -> str:
    """The measurement to print: of those that decide the one furthest above 0 for sure, else the first of them.

    Furthest is measured by what it reaches on `identity`, as `glance.share` does.
    """
    asked = results.questions(attack)[-1]
    identity = results.spec_named("identity")
    sure = [name for name in decision.deciding(asked) if results.above_zero(defense, attack, name)]

    def reached(name: str) -> float:
        here = results.measurement(defense, "attack", attack, name)
        there = results.measurement(identity, "attack", attack, name) if identity else None
        return here.value / there.value if here and there and there.value > 0 else 0.0

    return max(sure, key=reached, default=decision.DECIDES[asked]).removesuffix(".excess")


def findings(results: Results) -> dict[str, Table]:
    """A table by family, the defenses in the run's order and the strongest attack on each first."""
    return {
        family: Table(
            f"found-{family}",
            FAMILIES.get(family, family),
            COLUMNS,
            tuple(_row(results, d, a) for d in results.defenses for a in _strongest_first(results, d, attacks)),
        )
        for family, attacks in families(results).items()
    }


def _strongest_first(results: Results, defense: str, attacks: list[str]) -> list[str]:
    asked = [attack for attack in attacks if results.asked_for(defense, "attack", attack)]
    return sorted(asked, key=lambda attack: -(share(results, defense, attack) or 0.0))


def _row(results: Results, defense: str, attack: str) -> tuple[str, ...]:
    name = told_by(results, defense, attack)
    excess = results.measurement(defense, "attack", attack, f"{name}.excess")
    decimals = digits(excess) if excess else None
    missing = short(results.missing(defense, "attack", attack, f"{name}.excess"))
    parts = [results.measurement(defense, "attack", attack, f"{name}.{part}") for part in ("attack", "control")]
    return (
        results.label(defense),
        results.label(attack),
        short(results.attack_answer(defense, attack)),
        short(results.member_answer(defense, attack)),
        HEADS.get(name, name),
        *(show(part, missing, interval=False, decimals=decimals) for part in parts),
        show(excess, missing),
    )
