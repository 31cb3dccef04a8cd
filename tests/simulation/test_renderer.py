import math

import pytest
import torch

from smoke_vq.simulation import PlumeParameters, render
from smoke_vq.simulation.renderer import from_srgb, shadow, sunlight, to_srgb

WHITE = dict(sun_warmth=0.0, tint=0.0)


def test_alpha_of_a_slab_follows_beer_lambert():
    density = torch.full((1, 10, 4, 4), 0.5)
    _, alpha = render(density, [PlumeParameters(sigma=0.2)])
    torch.testing.assert_close(alpha, torch.full((1, 1, 4, 4), 1 - math.exp(-0.2 * 0.5 * 10)))


def test_smoke_without_shadow_scatters_what_it_absorbs():
    """Without extinction towards the light: radiance = albedo (sun + ambient's colour) (1 - T)."""
    density = torch.rand(1, 10, 4, 4, generator=torch.Generator().manual_seed(0))
    plume = PlumeParameters(sigma=0.2, sigma_light=0.0, sun=0.9, ambient=0.0, albedo=0.7, **WHITE)
    radiance, alpha = render(density, [plume])
    torch.testing.assert_close(radiance, (0.7 * 0.9 * alpha).expand(1, 3, 4, 4))


def test_no_smoke_is_black_and_clear():
    radiance, alpha = render(torch.zeros(1, 4, 5, 6), [PlumeParameters()])
    assert (radiance == 0).all() and (alpha == 0).all()


def test_the_top_is_lit_and_the_bottom_is_in_shadow():
    radiance, _ = render(torch.ones(1, 20, 20, 20), [PlumeParameters(sun_x=0.0, sun_z=0.0)])
    rows = radiance[0, 1].mean(1)
    assert (rows.diff() < 0).all()


def test_a_finer_grid_gives_the_same_image():
    coarse = torch.rand(1, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    fine = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    plume = PlumeParameters(sun_x=0.0, sun_z=0.0)
    (one, one_alpha), (two, two_alpha) = render(coarse, [plume]), render(fine, [plume], scale=2.0)
    torch.testing.assert_close(two_alpha[:, :, ::2, ::2], one_alpha)
    pooled = torch.nn.functional.avg_pool2d(two, 2)
    torch.testing.assert_close(pooled, one, atol=0.03, rtol=0.05)


def test_a_sun_overhead_gives_the_shadow():
    extinction = torch.rand(1, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    none = torch.zeros(1, 1, 1, 1)
    torch.testing.assert_close(sunlight(extinction, none, none), shadow(extinction))


@pytest.mark.parametrize("slant", [(1, 0), (-1, 0), (0, 1), (1, -1)])
def test_a_diagonal_sun_passes_the_diagonal_cells(slant):
    """Compared with a walk from each cell towards the sun."""
    extinction = torch.rand(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    sun_x, sun_z = (torch.full((1, 1, 1, 1), float(s)) for s in slant)
    found = sunlight(extinction, sun_x, sun_z)[0]
    length = math.sqrt(1 + slant[0] ** 2 + slant[1] ** 2)
    for z, y, x in ((2, 0, 3), (4, 2, 0), (1, 5, 6)):
        total, place = extinction[0, z, y, x].item() / 2, [z + slant[1], y + 1, x + slant[0]]
        while place[1] < 6 and 0 <= place[0] < 5 and 0 <= place[2] < 7:
            total += extinction[0, place[0], place[1], place[2]].item()
            place = [place[0] + slant[1], place[1] + 1, place[2] + slant[0]]
        assert found[z, y, x].item() == pytest.approx(total * length, rel=1e-4)


def test_srgb_and_back():
    values = torch.linspace(0, 1, 256)
    torch.testing.assert_close(to_srgb(from_srgb(values)), values, atol=1e-5, rtol=0)
    assert to_srgb(torch.tensor(0.5)).item() == pytest.approx(0.7354, abs=1e-4)
