"""Augmentation against images computed one by one."""

import torch

from rramfit.streams import torch_stream
from rramfit.training.loop.augmentation import augment


def images(n=64, size=6):
    return 1 + torch.arange(n * 2 * size * size, dtype=torch.float32).reshape(n, 2, size, size)


def shifted(image, dy, dx):
    """Return an image on black as seen through a window shifted by (dy, dx)."""
    size = image.shape[-1]
    out = torch.zeros_like(image)
    for r in range(size):
        for c in range(size):
            if 0 <= r + dy < size and 0 <= c + dx < size:
                out[:, r, c] = image[:, r + dy, c + dx]
    return out


def test_crops_are_shifts_and_every_shift_occurs():
    x = images(300, 4)
    found = augment(x, torch_stream(0, "a"), crop=1)
    shifts = set()
    for one, out in zip(x, found, strict=True):
        fits = [
            (dy, dx)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if torch.equal(shifted(one, dy, dx), out)
        ]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) == 9  # one is missed with probability 9·(8/9)^300 < 1e-14


def test_half_of_the_images_are_mirrored():
    x = images(400)
    found = augment(x, torch_stream(1, "a"), flip=True)
    mirrored = sum(torch.equal(a.flip(-1), b) for a, b in zip(x, found, strict=True))
    kept = sum(torch.equal(a, b) for a, b in zip(x, found, strict=True))
    assert mirrored + kept == 400
    assert abs(mirrored - 200) < 5 * 10  # 5 standard deviations


def test_given_images_are_mirrored():
    x = images(9)
    which = torch.arange(9) % 2 == 1
    found = augment(x, torch_stream(1, "a"), flip=which)
    assert torch.equal(found, torch.where(which[:, None, None, None], x.flip(-1), x))


def test_cutout_is_one_square_in_all_channels():
    x = images(50, 8)
    found = augment(x, torch_stream(2, "a"), cutout=3)
    for one in found:
        inside = one == 0
        assert torch.equal(inside[0], inside[1])
        rows, cols = inside[0].any(1).sum(), inside[0].any(0).sum()
        assert int(inside[0].sum()) == int(rows * cols)
        assert 1 <= rows <= 3
        assert 1 <= cols <= 3
    assert (found == 0).sum((1, 2, 3)).max() == 18


def test_the_generator_determines_the_augmentation():
    x = images()
    options = {"crop": 2, "flip": True, "cutout": 2}
    a, b, c = (augment(x, torch_stream(s, "a"), **options) for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(augment(x, torch_stream(3, "a")), x)
