import pytest
import torch

from attacks.gradient.inverting_gradients import InvertingGradients, infer_labels, total_variation
from attacks.judge import judge_images
from attacks.scenario import client_gradients
from synth.networks import build


def test_label_by_hand():
    # Softmax (0.2, 0.5, 0.3) with label 1 and features (1, 2): rows are (p - onehot) times the features.
    gradient = torch.tensor([[[0.2, 0.4], [-0.5, -1.0], [0.3, 0.6]]])
    assert infer_labels(gradient).tolist() == [1]


def test_total_variation_by_hand():
    image = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
    # Horizontal: (1 + 3) / 2, vertical: (2 + 4) / 2.
    assert total_variation(image).tolist() == [5.0]


def test_client_gradients_are_those_of_a_loop(digits):
    network = build("convnet3", classes=10, side=32, seed=0).eval()
    images, labels = digits.members.float()[:3], digits.members.labels[:3]
    fast = client_gradients(network, images, labels)
    for v in range(3):
        loss = torch.nn.functional.cross_entropy(network(images[v : v + 1]), labels[v : v + 1])
        slow = torch.autograd.grad(loss, list(network.parameters()))
        for a, b in zip(fast, slow, strict=True):
            torch.testing.assert_close(a[v], b, atol=1e-5, rtol=1e-4)


def test_both_controls(scenario, disjoint, make_truth, pairing, cpu):
    attack = InvertingGradients(iterations=120)
    found = {}
    for name, victims, source in (("identity", scenario, pairing), ("disjoint", disjoint, None)):
        guess = attack.run(victims.view(attack, "ig"), seed=0, device=cpu)
        found[name] = {m.name: m for m in judge_images(guess, make_truth(victims, source)).measurements}
    assert found["identity"]["trained.ssim.excess"].low > 0
    assert found["identity"]["private.ssim.excess"].low > 0
    assert found["disjoint"]["trained.ssim.excess"].low > 0
    assert found["disjoint"]["private.ssim.excess"].low <= 0


@pytest.mark.parametrize("bad", [{"iterations": 0}, {"restarts": 0}])
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match="must be >= 1"):
        InvertingGradients(**bad)
