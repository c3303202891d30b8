"""What the report says in sentences: three for page 1, and one for each defense."""

from collections.abc import Iterable

from leakbench.metrics.decision import CANARIES, LEAKS, NOT_VALIDATED, NOTHING
from leakbench.reports.epsilon import epsilon
from leakbench.reports.glance import FAILED, FAMILIES, families, few, least, outcome, silent, strongest, utility
from leakbench.reports.table import show
from leakbench.reports.verdicts import Results, is_control


def sentence(results: Results, defense: str) -> str:
    """Utility first, then what gives members away, what does not, and what proves nothing; never the word safe."""
    parts = []
    if results.hard_students:
        accuracy, kept = utility(results, defense)
        ratio = "" if kept is None else f", {100 * kept:.0f} % of identity's"
        parts.append(f"a student reaches {show(accuracy, 'no known')} % accuracy{ratio}")
    verdicts: dict[str, list[str]] = {}
    for attack in results.attacks:
        verdict = results.member_verdict(defense, attack)
        verdicts.setdefault(_words(verdict), []).append(attack)
    for words in sorted(verdicts, key=_rank):
        powered = words in (WORDS[NOTHING], WORDS[CANARIES[NOTHING]])
        who = verdicts[words]
        parts.append(f"{words} {results.silent(defense, who) if powered else _listed(map(results.label, who))}")
    shown = [attack for attack in results.attacks if results.shows_class(defense, attack)]
    if shown:
        parts.append(f"what a class looks like is shown by {_listed(map(results.label, shown))}")
    wrong = [a for a in results.attacks if epsilon(results, defense, a).contradicted]
    if wrong:
        parts.append(f"its claim on epsilon is contradicted by {_listed(map(results.label, wrong))}")
    return f"{results.label(defense)}: " + "; ".join(parts) + "."


WORDS = {
    LEAKS: "members are given away by",
    CANARIES[LEAKS]: "canaries are found by",
    NOTHING: "no leak of members is found by",
    CANARIES[NOTHING]: "no canary is found by",
    NOT_VALIDATED: "nothing is proved (no power, a false alarm in a control, or a split that is not sound) by",
    "failed": "failed:",
}


def _words(verdict: str) -> str:
    return WORDS.get(verdict.partition(":")[0], "not measured:")


def _rank(words: str) -> int:
    order = list(WORDS.values())
    return order.index(words) if words in order else len(order)


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def three_sentences(results: Results) -> list[str]:
    """Who leaks and by what; who was not found to, and what that is good for; what was not tested."""
    tested = [d for d in results.defenses if not is_control(d)] or results.defenses
    leaky: list[str] = []
    quiet: list[str] = []
    unknown: list[str] = []
    for defense in tested:
        known, label = strongest(results, defense), results.label(defense)
        if known is None:
            unknown.append(label)
        elif known[0] > 0:
            leaky.append(f"{label} (by {results.label(known[1])}{_worth(results, defense)})")
        elif FAILED in {outcome(results, defense, attack) for attack in results.attacks}:
            unknown.append(f"{label}, of which some attacks did not finish")
        else:
            power = least(results, defense, silent(results, defense))
            quiet.append(f"{label} ({power}{_worth(results, defense)})")
    first = f"Members are given away by {_listed(leaky)}." if leaky else ""
    second = f"No leak found by the attacks of the matrix: {_listed(quiet)}." if quiet else ""
    return [part for part in (first, second, _open(results, unknown)) if part]


def _open(results: Results, unknown: list[str]) -> str:
    """What nothing is known of."""
    doubtful = [results.label(a) for a in results.attacks if not results.control(a, results.questions(a)[-1]).validated]
    absent = [title for family, title in FAMILIES.items() if family not in families(results) and family != "canaries"]
    parts = []
    if unknown:
        parts.append(f"nothing is known of {_listed(unknown)}")
    if doubtful:
        parts.append(f"controls failed or are missing for {few(doubtful, most=4)}")
    if absent:
        parts.append(f"this run has no attack of {_listed(absent)}")
    parts.append("stronger attackers than these were not tried, and silence is not safety")
    return f"Not tested: {'; '.join(parts)}."


def _worth(results: Results, defense: str) -> str:
    kept = utility(results, defense)[1]
    return "" if kept is None else f"; keeps {100 * kept:.0f} % of the accuracy of the photographs"
