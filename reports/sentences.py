"""One sentence per defense, for the first page."""

from reports.table import show
from reports.verdicts import SILENT, Results


def sentence(results: Results, defense: str) -> str:
    """Utility first, then what each attack found, in the order of attacks; never the word safe."""
    student = next((s for s in results.students if s.endswith(":hard")), "")
    accuracy = results.figure(defense, "utility", student, "student.accuracy")
    identity = results.named("identity")
    base = results.figure(identity, "utility", student, "student.accuracy") if identity else None
    parts = []
    if student:
        share = f", {100 * accuracy.value / base.value:.0f} % of identity's" if accuracy and base and base.value else ""
        parts.append(f"a student reaches {show(accuracy, 'no known')} % accuracy{share}")
    parts += [f"{results.label(attack)} {_finding(results, defense, attack)}" for attack in results.attacks]
    wrong = [a for a in results.attacks if results.epsilon(defense, a).contradicted]
    parts += [f"its claim on epsilon is contradicted by {', '.join(map(results.label, wrong))}"] * bool(wrong)
    return f"{defense}: " + "; ".join(parts) + "."


def _finding(results: Results, defense: str, attack: str) -> str:
    first = results.questions(attack)[0]
    yes = "shows what the class looks like" if first == "class" else "works"
    worked = {"yes": yes, "no": "does not work"}.get(results.worked(defense, attack), "cannot be judged")
    members = results.leak(defense, attack)
    found = {
        "leaks": "gives members away",
        "no leak found": "finds no leak of members",
        "canaries found": "finds canaries behind the defense",
        "no canary found": "finds no canary behind the defense",
    }
    if first in SILENT:
        return found.get(members, f"says nothing on members ({members})")
    if results.unwashed(attack) != attack:
        worked += " (without adapting to what was done to the model)"
    return f"{worked} and {found.get(members, f'says nothing on members ({members})')}"
