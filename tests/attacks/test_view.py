import dataclasses
import gc
from dataclasses import replace

import pytest
import torch

from leakbench.attacks import shared_gradients
from leakbench.attacks import view as views
from leakbench.attacks.attack import attacks as registry
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.attacks.view import Access, AccessDenied, Encoding, View

TRAINED = {Access.MODEL, Access.TEACHER, Access.RERUN}


def test_touching_what_was_not_granted_names_access_and_threat_model():
    view = View(threat_model="curious", grants={Access.RELEASE: lambda: 1})
    with pytest.raises(AccessDenied, match=r"curious does not grant GRADIENTS .* it grants RELEASE"):
        view.gradients()
    for touch in (view.auxiliary, view.candidates, view.model, view.federation, lambda: view.train(None)):
        with pytest.raises(AccessDenied):
            touch()


def test_what_is_seen_is_a_copy(scenario):
    view = View(threat_model="t", grants={Access.AUXILIARY: lambda: scenario.split.auxiliary})
    view.auxiliary().pixels.zero_()
    assert scenario.split.auxiliary.pixels.any()


def reachable(root):
    """Every tensor that can be reached from an object through any reference that Python knows."""
    seen, stack, tensors = set(), [root], []
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ == "module":
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            tensors.append(item)
        if type(item).__name__ == "function":  # what it closes over, not the module it was written in
            stack += [cell.cell_contents for cell in item.__closure__ or ()]
            stack += list(item.__defaults__ or ())
        else:
            stack += gc.get_referents(item)
    return tensors


def pictures(tensor):
    """The rows of a tensor of images, as bytes."""
    return {row.tobytes() for row in tensor.numpy()} if tensor.dtype == torch.uint8 and tensor.ndim == 4 else set()


def shown_on_purpose(attack, split):
    """Candidates are members and others; what is kept from the attacker is which is which."""
    granted = (split.members, split.holdout) if Access.CANDIDATES in attack.needs else ()
    return set().union(*(pictures(part.pixels) for part in granted))


def test_no_mark_hangs_on_a_view_with_candidates(scenario):
    tensors = reachable(scenario.view(registry["gan-leaks"](), "gan-leaks"))
    order = scenario.candidate_order
    marks = (order < len(scenario.split.members), order)
    assert not [t for t in tensors for mark in marks if t.shape == mark.shape and torch.equal(t.long(), mark.long())]


@pytest.mark.parametrize("name", sorted(registry))
def test_nothing_of_the_truth_hangs_on_a_view(name, disjoint, digits):
    """By content, so that a copy of a private image counts as well as a reference to it."""
    seen = set().union(*map(pictures, reachable(disjoint.view(registry[name](), name))))
    everything = set().union(*map(pictures, reachable(disjoint)))
    private = set().union(*(pictures(part.pixels) for part in (digits.members, digits.holdout, digits.test)))
    private -= pictures(digits.public.pixels) | pictures(digits.auxiliary.pixels)  # a digit may occur twice
    private -= shown_on_purpose(registry[name], digits)
    assert everything & private, "the walk does not find what is there: it proves nothing"
    assert not seen & private


def test_the_trained_model_carries_nothing_out(scenario):
    class Thief:
        def encode(self, network, images):
            self.loot = images
            return Encoding(penalty=self.shelve)

        def shelve(self, network):
            network.loot = self.loot
            return next(network.parameters()).sum() * 0

    view = scenario.view(registry["sign"](), "sign")
    thief = Thief()
    trained = view.train(thief)
    assert not hasattr(trained.network, "loot")
    assert not vars(thief)


@pytest.mark.parametrize("name", sorted(registry))
def test_an_attack_gets_what_it_needs_and_no_more(name, scenario):
    attack = registry[name]()
    assert set(scenario.view(attack, name).grants) == set(attack.needs)


@pytest.mark.parametrize(
    "pixels", [torch.full((1, 3, 4, 4), 1.5), torch.full((1, 3, 4, 4), float("nan")), torch.zeros(3, 4, 4)]
)
def test_bad_guesses_are_refused(pixels):
    with pytest.raises(ValueError, match="guess"):
        Reconstructions(pixels, torch.zeros(1, dtype=torch.long))


def test_the_pairing_is_not_on_the_view(scenario):
    """Who stands behind a released image is the judge's knowledge alone."""
    release = scenario.release
    paired = replace(scenario, release=replace(release, sources=torch.arange(len(release.images))[:, None]))
    needy = next(
        attack for attack in registry.values() if Access.RELEASE in attack.needs and not attack.needs & TRAINED
    )
    view = paired.view(needy(), "needy")
    assert view.release().sources is None
    assert not any(torch.equal(tensor, paired.release.sources) for tensor in reachable(view))


def test_what_attackers_are_handed_is_frozen():
    """Nobody changes what another attack is handed, or mistakes one number for another."""
    modules = (views.__name__, shared_gradients.__name__)
    handed = [cls for cls in vars(views).values() if dataclasses.is_dataclass(cls) and cls.__module__ in modules]
    assert {cls.__name__ for cls in handed} == {
        *("SharedGradients", "Encoding", "HonestEncoder", "TrainedModel", "AnsweringModel", "PublishedModel", "Seat"),
        "View",
    }
    assert all(cls.__dataclass_params__.frozen for cls in handed)
    for cls in (SharedGradients, Encoding, View):
        with pytest.raises(TypeError, match="positional"):
            cls(*range(len(dataclasses.fields(cls))))
    assert views.HonestEncoder() == views.HonestEncoder(), "known again by its value"
    assert isinstance(views.HonestEncoder(), views.Encoder)
    assert not isinstance(object(), views.Participant)


def test_a_view_does_not_print_what_it_grants():
    assert "secret" not in repr(View(threat_model="curious", grants={Access.MODEL: "secret"}))


@pytest.mark.parametrize("known", [True, False])
def test_shared_gradients_on_another_device(known):
    """One image, one step at rate 1 unless it is said; everything in it goes along."""
    layers = (((torch.zeros(1, 2), torch.ones(1, 2)),) if known else None, torch.zeros(1, 1) if known else None)
    shared = SharedGradients(
        network=torch.nn.BatchNorm2d(1),
        gradients=(torch.zeros(1, 3),),
        image_shape=(3, 8, 8),
        classes=2,
        statistics=layers[0],
        labels=layers[1],
    )
    assert (shared.batch, shared.local_steps, shared.learning_rate) == (1, 1, 1.0)
    moved = shared.to(torch.device("meta"))
    tensors = [*moved.network.parameters(), *moved.gradients]
    assert (moved.statistics is not None) is (moved.labels is not None) is known
    tensors += [*moved.statistics[0], moved.labels] if known else []
    assert all(tensor.is_meta for tensor in tensors)
