import torch
import torch.nn.functional as F

from smoke_vq.simulation.interpolation import Table, Trilinear

SHAPE = (5, 7, 6)


def random_points(batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = SHAPE[::-1]
    return [torch.rand(batch, 4, 3, 8, generator=generator) * (size + 1) - 1 for size in sizes]


def test_equals_grid_sample_inside_and_outside():
    fields = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
    points = random_points()
    grid = torch.stack([2 * p / (size - 1) - 1 for p, size in zip(points, SHAPE[::-1], strict=True)], dim=-1)
    expected = F.grid_sample(fields, grid, mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(Trilinear(*points, SHAPE)(Table(fields)), expected, atol=1e-5, rtol=1e-5)


def test_is_exact_for_linear_fields():
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij")
    field = (2 * x - 3 * y + 0.5 * z + 1)[None, None]
    px, py, pz = (p[:1].clamp(0, size - 1) for p, size in zip(random_points(), SHAPE[::-1], strict=True))
    values = Trilinear(px, py, pz, SHAPE)(Table(field))
    torch.testing.assert_close(values[:, 0], 2 * px - 3 * py + 0.5 * pz + 1, atol=1e-4, rtol=1e-5)


def test_bounds_are_the_extremes_of_the_eight_corners():
    fields = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
    points = random_points()
    low, high = Trilinear(*points, SHAPE).bounds(Table(fields))
    cells = [p.clamp(0, n - 1).floor().clamp(max=n - 2).long() for p, n in zip(points, SHAPE[::-1], strict=True)]
    for index in ((0, 1, 2, 3), (1, 3, 0, 7), (1, 0, 1, 4)):
        x, y, z = (int(cell[index]) for cell in cells)
        corners = fields[index[0], :, z : z + 2, y : y + 2, x : x + 2].flatten(1)
        assert torch.equal(low[(index[0], slice(None), *index[1:])], corners.amin(1))
        assert torch.equal(high[(index[0], slice(None), *index[1:])], corners.amax(1))
