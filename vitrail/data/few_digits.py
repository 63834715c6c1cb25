"""A few of the built-in digits, for the demo."""

from vitrail.data.image_table import ImageTable, read_image_table
from vitrail.data.training_subsets import few_of_every_class


def few_digits(*, train: int = 40, val: int = 36) -> ImageTable:
    """So many training and validation images of every digit, the same ones always.

    Few to train on is where weights to start from matter; as many validation images as a fit of all digits has.
    """
    digits = read_image_table("digits")
    return ImageTable(few_of_every_class(digits.rows, train=train, val=val, seed=0), digits.name)
