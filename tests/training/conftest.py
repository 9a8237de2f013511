"""Run torch on one thread; data sets for the training tests."""

import pytest
import torch

from rramfit.mapping.study.datasets import Dataset, load_dataset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def few(digits: Dataset) -> Dataset:
    """A small part of the digits, for a few training steps."""
    return Dataset(
        name="few",
        train_images=digits.train_images[:200],
        train_labels=digits.train_labels[:200],
        test_images=digits.test_images[:50],
        test_labels=digits.test_labels[:50],
        classes=10,
    )
