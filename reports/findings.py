"""What attacks found of members, one short table for each family: the measurement that says most, and its control."""

from leakbench.metrics.decision import DECIDES
from leakbench.reports.glance import FAMILIES, families, share, shares
from leakbench.reports.leakage_columns import LEAKAGE
from leakbench.reports.table import Table, digits, short, show
from leakbench.reports.verdicts import Results

HEADS = {name: head for _, _, columns in LEAKAGE.values() for name, head in columns}
COLUMNS = ("Defense", "Attack", "worked", "members leak", "of what", "attack", "control", "excess")


def told_by(results: Results, defense: str, attack: str) -> str:
    """The measurement to print: of those that decide the one with the largest share, else the first of them."""
    known = shares(results, defense, attack) if share(results, defense, attack) else {}
    return max(known, key=known.__getitem__, default=DECIDES[results.questions(attack)[-1]]).removesuffix(".excess")


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
