"""What is called in tests is held against what its signature says, shapes included."""

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation

from vitrail.measures.calibration import log_losses
from vitrail.measures.intervals import Measure
from vitrail.pages.numbers import count
from vitrail.training.choice import Candidates


def test_axes_of_one_name_must_agree():
    log_losses(np.zeros((2, 3)), np.zeros(2, int))
    with pytest.raises(jaxtyping.TypeCheckError, match="labels"):
        log_losses(np.zeros((2, 3)), np.zeros(5, int))
    with pytest.raises(jaxtyping.TypeCheckError):
        Candidates(np.zeros((2, 4, 3)), np.zeros(5, int), None, 0)


def test_a_type_is_checked_where_no_shape_is_stated():
    with pytest.raises(BeartypeCallHintViolation):
        count("many")
    with pytest.raises(BeartypeCallHintViolation):
        Measure(3, None, 1)
    with pytest.raises(BeartypeCallHintViolation):
        Measure("accuracy", None, "many")
