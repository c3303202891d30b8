"""Lower bounds on the mu of Gaussian differential privacy, and its epsilon: for mechanisms whose curve is Gaussian.

Where a defense is one accounted Gaussian mechanism, the guesses of `epsilon.guess` rule out more than they do of any
(epsilon, delta)-private mechanism. Where it is not, these bounds mean nothing: the assumption stands beside them.
"""

from opacus.accountants.analysis.gdp import eps_from_mu
from scipy.special import ndtr, ndtri

from leakbench.metrics.epsilon import Guesses, guess
from leakbench.metrics.rates import Floats

LARGEST = 20.0
"""No mu above it is looked for."""
HALVINGS = 40


def allowed(found: Guesses, mu: float, alarms: float) -> bool:
    """Whether a mu-Gaussian-private mechanism has so many right guesses with a probability that may be above `alarms`.

    The recursion of Mahloujifar, Melis and Chaudhuri (arXiv 2410.22235) over the number i of right guesses, from v
    down: h grows to f(r) where that is larger, f(r) = Phi(Phi^-1(r) - mu), r grows by i / (g - i) of what h grows, and
    both together are at most g / m. It gives the figures of an independent implementation (see tests).

    Args:
        found: v right guesses of g, of m canaries; all fixed beforehand but v.
        mu: of replacing one image by another.
        alarms: probability of rejecting what is true.
    """
    correct, guesses, canaries = found
    most = guesses / canaries
    right, wrong = alarms * most * correct / guesses, alarms * most * (guesses - correct) / guesses
    for i in range(correct - 1, -1, -1):
        grown = max(wrong, float(ndtr(ndtri(min(right, 1.0)) - mu)))
        right += i / (guesses - i) * (grown - wrong)
        wrong = grown
        if right + wrong > most:
            return False
    return True


def mu_from_guesses(found: Guesses, *, level: float = 0.95) -> float:
    """The largest mu that these guesses reject, for replacing one image by another; 0 where they reject none.

    Args:
        found: fixed beforehand but for how many are right.
        level: confidence.
    """
    low, high = 0.0, LARGEST
    if allowed(found, low, 1 - level):
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if allowed(found, middle, 1 - level) else (middle, high)
    return low


def epsilon(mu: float, delta: float) -> float:
    """The epsilon of mu-Gaussian privacy at a delta, by Opacus (arXiv 1905.02383, corollary 2.13).

    Args:
        mu: not below 0.
        delta: above 0.
    """
    if 2 * ndtr(mu / 2) - 1 <= delta:
        return 0.0
    return float(eps_from_mu(mu=mu, delta=delta))


def mu_from_pairs(inside: Floats, outside: Floats, *, level: float = 0.95, seed: int = 0) -> float:
    """The same from scores of pairs of canaries; as many are guessed as promise the largest mu.

    Args:
        inside: as for `epsilon.guess`.
        outside: likewise.
        level: confidence.
        seed: likewise.

    Returns:
        For replacing one image by another; that of adding or removing one is at least half of it.
    """
    found = guess(inside, outside, seed=seed, promise=lambda chosen: mu_from_guesses(chosen, level=level))
    return mu_from_guesses(found, level=level)
