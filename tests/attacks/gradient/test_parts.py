"""Objectives, priors, optimisers and labels, each by hand or against the library that it follows."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy

from leakbench.attacks.gradient.labels import infer_labels
from leakbench.attacks.gradient.objectives import cosine, euclidean, relative
from leakbench.attacks.gradient.optimizers import LBFGS, Adam, step_decay, warm_cosine
from leakbench.attacks.gradient.priors import BatchNormPrior, group_consistency, magnitude, total_variation
from leakbench.attacks.shared_gradients import SharedGradients


def flat(tensors):
    return torch.cat([t.flatten(1) for t in tensors], 1)


@pytest.mark.parametrize(
    ("objective", "plain"),
    [
        (relative, lambda a, b: (flat(a) - flat(b)).square().sum(1) / flat(b).square().sum(1)),
        (euclidean, lambda a, b: (flat(a) - flat(b)).square().sum(1)),
        (cosine, lambda a, b: 1 - cosine_similarity(flat(a), flat(b))),
    ],
)
def test_closed_forms_are_what_autograd_finds(objective, plain):
    rng = torch.Generator().manual_seed(0)
    shapes = ((3, 4, 2, 3, 3), (3, 4), (3, 5, 4))
    own, shared = ([torch.randn(s, generator=rng) for s in shapes] for _ in range(2))
    leaves = [t.clone().requires_grad_() for t in own]
    expected = plain(leaves, shared)
    expected.sum().backward()
    value, gradient = objective(own, shared)
    torch.testing.assert_close(value, expected.detach())
    for found, leaf in zip(gradient, leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad)


def test_priors_by_hand():
    images = torch.tensor([0.0, 1.0, 2.0, 5.0]).view(1, 1, 1, 2, 2)
    # To the right (1 + 1 + 3 + 5) / 4, down (2 + 4 + 2 + 5) / 4, beyond the edge 0; length: sqrt(1 + 4 + 25).
    assert total_variation(images).tolist() == [5.75]
    assert magnitude(images).item() == pytest.approx(30**0.5)
    starts = torch.tensor([1.0, 3.0, 7.0, 7.0]).view(4, 1, 1, 1, 1)
    # Client 0's two restarts lie 1 from their mean, client 1's agree.
    assert group_consistency(2)(starts).tolist() == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("sent", [False, True])
def test_the_batch_norm_prior_by_hand(sent):
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Identity(), nn.BatchNorm2d(1)).train(sent)
    known = ((torch.tensor([[0.0], [0.5]]), torch.tensor([[1.0], [0.25]])),) * 2 if sent else None
    shared = SharedGradients(network=network, gradients=(), image_shape=(1, 1, 2), classes=2, batch=1, statistics=known)
    images = torch.tensor([[-2.0, 2.0], [0.0, 0.0]]).view(2, 1, 1, 1, 2)  # pixels 0 and 1; 0.5 and 0.5
    penalty = BatchNormPrior(shared, torch.arange(2), first=10.0)(images)
    if not sent:  # means 0.5 and 0.5, variances 0.25 and 0, of both layers, against running 0 and 1
        torch.testing.assert_close(penalty, torch.tensor([11 * (0.5 + 0.75), 11 * (0.5 + 1.0)]), atol=1e-3, rtol=0)
    else:  # own statistics: the second layer sees mean 0 and variance 1, or all zero
        expected = torch.tensor([10 * (0.5 + 0.75) + 0, 10 * (0 + 0.25) + 0.5 + 0.25])
        torch.testing.assert_close(penalty, expected, atol=1e-3, rtol=0)


def rosenbrock(x):
    return ((1 - x[..., :-1]) ** 2 + 5 * (x[..., 1:] - x[..., :-1] ** 2) ** 2).sum(-1)


def test_lbfgs_is_torchs_row_by_row():
    starts = torch.tensor([[-1.2, 1.0, 0.3], [0.5, -0.2, 0.9]])
    rows = starts.clone().requires_grad_()
    optimizer, path = LBFGS([rows], learning_rate=0.1, history=4), []
    for _ in range(12):
        (gradient,) = torch.autograd.grad(rosenbrock(rows).sum(), rows)
        optimizer.step([gradient])
        path.append(rows.detach().clone())
    for row, start in enumerate(starts):
        x = start.clone().requires_grad_()
        theirs = torch.optim.LBFGS([x], lr=0.1, max_iter=1, history_size=4)

        def closure(x=x, theirs=theirs):
            theirs.zero_grad()
            loss = rosenbrock(x)
            loss.backward()
            return loss

        for step in range(12):
            theirs.step(closure)
            torch.testing.assert_close(path[step][row], x.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda leaves: LBFGS(leaves, learning_rate=0.1),
        lambda leaves: Adam(leaves, 0.1, step_decay(8), signed=True),
        lambda leaves: Adam(leaves, 0.1, warm_cosine(8), signed=False),
    ],
)
def test_rows_are_searches_of_their_own(make):
    """Dropping a row changes nothing for the one that stays."""
    both = [torch.tensor([[-1.2, 1.0], [0.5, -0.2]]).requires_grad_()]
    alone = [both[0].detach()[1:].clone().requires_grad_()]
    first, second = make(both), make(alone)
    for step in range(8):
        if step == 3:
            both = first.keep(torch.tensor([1]))
        for unknowns, optimizer in ((both, first), (alone, second)):
            (gradient,) = torch.autograd.grad(rosenbrock(unknowns[0]).sum(), unknowns[0])
            optimizer.step([gradient])
    torch.testing.assert_close(both[0], alone[0])


def from_labels(labels, features, *, bias=True):
    """The last layer's gradients where predictions are uniform: rows (1/K - share of the label) times features."""
    share = torch.stack([torch.bincount(row, minlength=10) for row in labels]) / labels.shape[1]
    rows = 0.1 - share
    gradients = (rows[:, :, None] * features, rows) if bias else (rows[:, :, None] * features,)
    return SharedGradients(
        network=nn.Identity(), gradients=gradients, image_shape=(3, 8, 8), classes=10, batch=labels.shape[1]
    )


def test_one_label_by_hand():
    # Softmax (0.2, 0.5, 0.3) with label 1 and features (1, 2): rows are (p - onehot) times the features.
    weight = torch.tensor([[[0.2, 0.4], [-0.5, -1.0], [0.3, 0.6]]])
    shared = SharedGradients(network=nn.Identity(), gradients=(weight,), image_shape=(3, 8, 8), classes=3)
    assert infer_labels(shared).tolist() == [[1]]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.booleans())
@settings(max_examples=50, deadline=None)
def test_labels_with_repetition_are_found_where_predictions_are_uniform(labels, bias):
    labels = torch.tensor([sorted(labels)])
    found = infer_labels(from_labels(labels, torch.tensor([1.0, 2.0]), bias=bias))
    assert found.tolist() == labels.tolist()


def test_labels_of_an_untrained_network(digits):
    from leakbench.attacks.victims.clients import GradientClients, share_gradients
    from leakbench.synth.networks.architectures import build

    network = build("dcgan", classes=10, side=32, seed=0).eval()
    images = digits.members.take(torch.arange(16))
    shared = share_gradients(GradientClients(victims=16, batch=8), network, images, lambda g, seed: g, seed=0)
    assert infer_labels(shared).tolist() == images.labels.view(2, 8).sort(1).values.tolist()
    assert cross_entropy(network(images.float()), images.labels) > 2


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [([0.03] * 9 + [0.73], [0, 0, 0, 0]), ([0.055] * 9 + [0.505], [0, 0, 1, 1]), ([0.1] * 10, [0] * 12 + [3, 5, 5, 9])],
)
def test_certain_labels_come_before_shares(predicted, labels):
    """No prediction is negative, so a bias row of -0.97 in a batch of 4 is at least 4 images."""
    labels = torch.tensor([labels])
    row = torch.tensor([predicted]) - torch.bincount(labels[0], minlength=10) / labels.shape[1]
    shared = SharedGradients(
        network=nn.Identity(),
        gradients=(row[:, :, None] * torch.tensor([1.0, 2.0]), row),
        image_shape=(3, 8, 8),
        classes=10,
        batch=labels.shape[1],
    )
    assert infer_labels(shared).tolist() == labels.tolist()
