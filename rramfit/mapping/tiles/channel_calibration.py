"""Calibration of converters by reads: the offset and gain that a chip can find for its columns.

Each column converts known reference currents u, shares of its range, N times each. The reads have
the channel's noise, are rounded and clipped. The mean codes are fitted by

    code = offset + gain·u (+ third·u³ with the cubic correction)

so that N reads leave an error of about noise/√N, and rounding one that reads without noise do not
reduce. The reference currents are taken as exact. Without the cubic correction the line goes
through both references, so that it includes a part of the cubic term.
"""

from __future__ import annotations

import dataclasses

import torch

from rramfit.array.devices.readout import ReadoutChannels

__all__ = ["REFERENCES", "calibrated_channels"]

REFERENCES = {"none": (), "offset": (0.1,), "linear": (0.1, 0.9), "cubic": (0.1, 0.5, 0.9)}
"""Reference currents of each correction, as shares of the range."""


def calibrated_channels(
    channels: ReadoutChannels, correction: str, reads: int, *, generator: torch.Generator
) -> ReadoutChannels:
    """Return channels as their calibration finds them.

    Parameters
    ----------
    channels : ReadoutChannels
    correction : {"none", "offset", "linear", "cubic"}
        What is not corrected is not calibrated, and is returned as it is.
    reads : int
        Reads of each reference current.
    generator : torch.Generator

    Examples
    --------
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> true = ReadoutChannels(
    ...     gain=200 * one, offset=5 * one, third=0 * one, noise=1.0, full_scale=1.0, bits=8
    ... )
    >>> found = calibrated_channels(
    ...     true, "linear", 4, generator=torch.Generator().manual_seed(0)
    ... )
    >>> bool((found.gain - 200).abs() < 3)
    True
    """
    shares = REFERENCES[correction]
    if not shares:
        return channels
    gain, third = channels.gain, channels.third
    known = torch.tensor(shares).to(gain)  # (reference,)
    current = (known * channels.full_scale)[None, :, None, None].expand(
        len(gain), -1, reads, gain.shape[1]
    )
    codes = channels.digitise(current, generator=generator).mean(2)  # (chip, reference, channel)
    if correction == "offset":
        line = gain.mean() * channels.full_scale * known[0]
        return dataclasses.replace(channels, offset=codes[:, 0] - line)
    powers = (0, 1) if correction == "linear" else (0, 1, 3)
    design = torch.stack([known**p for p in powers], 1)
    found = torch.linalg.solve(design, codes)  # (chip, coefficient, channel)
    return dataclasses.replace(
        channels,
        offset=found[:, 0],
        gain=found[:, 1] / channels.full_scale,
        third=found[:, 2] if correction == "cubic" else third,
    )
