"""One sentence per defense, for the first page."""

from collections.abc import Iterable

from leakbench.metrics.decision import CANARIES, LEAKS, NOT_VALIDATED, NOTHING
from leakbench.reports.epsilon import epsilon
from leakbench.reports.table import show
from leakbench.reports.verdicts import Results


def sentence(results: Results, defense: str) -> str:
    """Utility first, then what gives members away, what does not, and what proves nothing; never the word safe."""
    student = next(iter(results.hard_students), "")
    accuracy = results.measurement(defense, "utility", student, "student.accuracy")
    identity = results.spec_named("identity")
    base = results.measurement(identity, "utility", student, "student.accuracy") if identity else None
    parts = []
    if student:
        share = f", {100 * accuracy.value / base.value:.0f} % of identity's" if accuracy and base and base.value else ""
        parts.append(f"a student reaches {show(accuracy, 'no known')} % accuracy{share}")
    verdicts: dict[str, list[str]] = {}
    for attack in results.attacks:
        verdict = results.member_verdict(defense, attack)
        verdicts.setdefault(_words(verdict), []).append(attack)
    for words in sorted(verdicts, key=_rank):
        silent = words in (WORDS[NOTHING], WORDS[CANARIES[NOTHING]])
        who = verdicts[words]
        parts.append(f"{words} {results.silent(defense, who) if silent else _listed(map(results.label, who))}")
    shown = [
        a for a in results.attacks if results.questions(a)[0] == "class" and results.attack_verdict(defense, a) == "yes"
    ]
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
