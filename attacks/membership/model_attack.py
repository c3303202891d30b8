"""What attacks on a published network share: which network that is."""

from dataclasses import dataclass

from leakbench.attacks.attack import Attack
from leakbench.attacks.view import Access, PublishedModel, View


@dataclass(frozen=True, kw_only=True)
class ModelAttack(Attack):
    """An attack on a network: by default on a student of the release's hard labels."""

    family = "membership"
    goal = "members"

    def attacked(self, view: View) -> PublishedModel:
        """The network that is asked about candidates."""
        return view.model()


class OfSoftLabels:
    """Has an attack on a student attack the one that learned the release's soft labels."""

    def attacked(self, view: View) -> PublishedModel:
        """A student of soft labels; of a release without any, of its hard ones."""
        return view.soft_model()


class OfTheTeacher:
    """Has an attack on a student attack the teacher that was published beside the release."""

    def attacked(self, view: View) -> PublishedModel:
        """The teacher; of a defense that reads none, a network trained on the release by its recipe."""
        return view.teacher()


def instead_of_model(needs: frozenset[Access], access: Access) -> frozenset[Access]:
    """The same threat model with another network in the student's place."""
    return needs - {Access.MODEL} | {access}
