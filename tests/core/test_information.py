"""The table of bits, against the integral that it stands for."""

import math

import numpy as np
import pytest
from scipy import integrate

from coiled_runtime_cli.core.information import information


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("prior", [0.0, 0.1, 0.5, 0.9])
def test_information_is_the_integral_that_it_stands_for(shift, prior):
    def density(y, mean):
        return math.exp(-0.5 * (y - mean) ** 2) / math.sqrt(2 * math.pi)

    def term(y):
        no, yes = density(y, 0), density(y, shift)
        both = (1 - prior) * no + prior * yes
        return sum(
            weight * each * math.log2(each / both)
            for weight, each in ((1 - prior, no), (prior, yes))
            if weight > 0 and each > 0 and both > 0
        )

    wanted = integrate.quad(term, -8, shift + 8, limit=200)[0]
    assert information(np.array([prior]), shift)[0] == pytest.approx(wanted, abs=0.01)
