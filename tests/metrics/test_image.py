import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from leakbench.metrics.image import MS_SSIM_SIDE, PSNR_CAP, ms_ssim, ms_ssim_unavailable, psnr, ssim


def images(count, side=32, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def pairs():
    x = images(4)
    noise = images(4, seed=1)
    return [
        (x, noise),
        (x, (x + 0.1 * noise).clamp(0, 1)),
        (x, x * 0.5),
        (x.mean(1, keepdim=True).expand(-1, 3, -1, -1), x),
    ]


@pytest.mark.parametrize(("x", "y"), pairs())
def test_psnr_is_scikit_images(x, y):
    golden = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1.0) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(psnr(x, y), golden, atol=1e-4)


@pytest.mark.parametrize(("x", "y"), pairs())
def test_ssim_is_scikit_images(x, y):
    golden = [
        structural_similarity(
            a.double().numpy(),
            b.double().numpy(),
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y), golden, atol=2e-4)


def test_an_exact_copy_does_not_make_the_batch_infinite():
    x, y = images(3), images(3, seed=1)
    y[1] = x[1]
    values = psnr(x, y)
    assert values[1] == pytest.approx(PSNR_CAP, abs=1e-3)
    assert torch.isfinite(values).all()
    assert values[0] < 20


@given(st.permutations(range(5)), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_value_depends_on_its_own_pair_only(order, cut):
    x, y = images(5), images(5, seed=1)
    for metric in (psnr, ssim):
        whole = metric(x, y)
        parts = torch.cat([metric(x[order][:cut], y[order][:cut]), metric(x[order][cut:], y[order][cut:])])
        torch.testing.assert_close(parts, whole[order])


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_laws(seed):
    x, y = images(2, seed=seed), images(2, seed=seed + 1)
    for metric, best in ((psnr, PSNR_CAP), (ssim, 1.0)):
        torch.testing.assert_close(metric(x, y), metric(y, x))
        torch.testing.assert_close(metric(x, x), torch.full((2,), best), atol=1e-3, rtol=0)
        assert (metric(x, y) < best).all()


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 3, 32, 31), torch.full((2, 3, 32, 32), 2.0), torch.zeros(2, 3, 32, 32).byte()]
)
def test_bad_images_are_refused(bad):
    with pytest.raises(ValueError, match="images must be"):
        psnr(images(2), bad)


def test_ms_ssim_says_where_it_does_not_apply():
    assert "161" in ms_ssim_unavailable(32)
    with pytest.raises(ValueError, match="161"):
        ms_ssim(images(1), images(1))
    x = images(1, side=MS_SSIM_SIDE)
    assert ms_ssim_unavailable(MS_SSIM_SIDE) is None
    assert ms_ssim(x, x).item() == pytest.approx(1.0, abs=1e-4)
