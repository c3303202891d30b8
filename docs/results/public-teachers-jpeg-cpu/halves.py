"""How well the loss of a private head tells those it learned from others, over random halves of CIFAR-10 in folders."""

import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, normalize

from leakbench.metrics.membership import auc
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.defenses.private_head import noise_of_a_step, noisy_softmax_regression, with_constant
from leakbench.synth.networks.public import at_hand
from leakbench.synth.networks.training import penultimate
from leakbench.synth.randomness import SeededRandomness

HALVES, COUNT = 8, 20_000

pool = open_pool("imagefolder", Path(sys.argv[1]), None)
chosen = torch.randperm(len(pool.labels), generator=torch.Generator().manual_seed(0))[8_000 : 8_000 + COUNT]
parts = [penultimate(at_hand(), pool.draw(part), device=torch.device("cpu")) for part in chosen.split(2_000)]
seen, labels = with_constant(normalize(torch.cat(parts))), pool.labels[chosen]
for epsilon in (1.0, 8.0):
    found = []
    for seed in range(HALVES):
        inside = torch.zeros(COUNT, dtype=torch.bool)
        inside[torch.randperm(COUNT, generator=torch.Generator().manual_seed(seed))[: COUNT // 2]] = True
        noise = noise_of_a_step(epsilon, 1e-5, 20)
        how = {"steps": 20, "learning_rate": 60.0, "randomness": SeededRandomness(seed)}
        head = noisy_softmax_regression(seen[inside], labels[inside], 10, noise=noise, **how)
        scores = -cross_entropy(seen @ head.T, labels, reduction="none")
        found.append(auc(scores.numpy(), inside.numpy()).value)
    values = torch.tensor(found)
    print(f"epsilon {epsilon:g}: AUC {values.mean():.4f}, standard error {values.std() / HALVES**0.5:.4f}")
