"""One sentence per defense, for the first page."""

from reports.tables import show
from reports.verdicts import Results


def sentence(results: Results, defense: str) -> str:
    """Utility first, then what each attack found, in the order of attacks; never the word safe."""
    student = next((s for s in results.students if s.endswith(":hard")), "")
    accuracy = results.figure(defense, "utility", student, "student.accuracy")
    identity = results.named("identity")
    base = results.figure(identity, "utility", student, "student.accuracy") if identity else None
    text = f"{defense}: a student reaches {show(accuracy, 'no known')} % accuracy"
    if accuracy and base and base.value:
        text += f", {100 * accuracy.value / base.value:.0f} % of identity's"
    found = [f"{attack.split(':')[0]} {_finding(results, defense, attack)}" for attack in results.attacks]
    return text + ("; " + "; ".join(found) if found else "") + "."


def _finding(results: Results, defense: str, attack: str) -> str:
    worked, private = results.questions(attack)
    answers = {
        "leaks": "gives members away",
        "no leak found": "finds no leak of members",
    }
    members = results.verdict(defense, attack, private)
    got = {"leaks": "works", "no leak found": "does not work"}.get(results.verdict(defense, attack, worked), "")
    subject = "shows what the class looks like" if worked == "class" and got == "works" else got or "cannot be judged"
    return f"{subject} and {answers.get(members, 'says nothing on members (' + members + ')')}"
