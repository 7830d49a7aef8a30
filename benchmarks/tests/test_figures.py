# SPDX-License-Identifier: MIT
"""
Medians, ratios, percentiles, verdicts: arithmetic that the figures rest on.
"""

from __future__ import annotations

import pytest

from benchmarks import figures
from benchmarks.bars.kinds import AT_LEAST, AT_MOST, Bar
from benchmarks.bars.runner import compare, per_item
from benchmarks.bars.spec import BARS, GROUPS, verdict
from benchmarks.figures import Series


def test_the_median_is_in_the_middle() -> None:
    """
    Odd counts have a middle value, even counts the mean of two; order is no matter.
    """
    assert figures.median([9.0, 1.0, 5.0]) == 5.0
    assert figures.median([4.0, 1.0, 3.0, 2.0]) == 2.5
    with pytest.raises(ValueError, match="nothing"):
        figures.median([])


def test_ratios_are_taken_round_by_round() -> None:
    """
    A machine that was slow in one round is slow in both halves of that ratio.
    """
    ours, theirs = Series((10.0, 100.0, 10.0)), Series((20.0, 200.0, 40.0))
    assert figures.ratios(theirs.rounds, ours.rounds) == [2.0, 2.0, 4.0]
    assert theirs.to_json(ours)["time_relative_to_pyfaster"] == 2.0
    with pytest.raises(ValueError, match="rounds"):
        figures.ratios([1.0], [1.0, 2.0])


def test_a_series_says_its_range_and_rate() -> None:
    """
    The report has every round, the median, the range, and operations a second.
    """
    assert Series((30.0, 10.0, 20.0)).to_json(None) == {
        "rounds_ns": [30.0, 10.0, 20.0],
        "median_ns": 20.0,
        "min_ns": 10.0,
        "max_ns": 30.0,
        "operations_per_second": 5e7,
        "time_relative_to_pyfaster": None,
    }


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.501, 51.0), (1.0, 100.0)]
)
def test_percentiles_are_values_that_occurred(share: float, expected: float) -> None:
    """
    A percentile is the smallest value that at least that share does not exceed.
    """
    ordered = [float(value) for value in range(1, 101)]
    assert figures.percentile(ordered, share) == expected


def test_percentiles_refuse_nonsense() -> None:
    """
    No values, or a share outside 0 to 1, is an error.
    """
    with pytest.raises(ValueError, match="nothing"):
        figures.percentile([], 0.5)
    with pytest.raises(ValueError, match="share"):
        figures.percentile([1.0], 1.5)


@pytest.mark.parametrize(
    ("relation", "figure", "expected"),
    [
        (AT_MOST, 1.99, "pass"),
        (AT_MOST, 2.0, "pass"),
        (AT_MOST, 2.01, "miss"),
        (AT_LEAST, 2.01, "pass"),
        (AT_LEAST, 2.0, "pass"),
        (AT_LEAST, 1.99, "miss"),
    ],
)
def test_a_bar_is_passed_on_its_good_side(
    relation: str, figure: float, expected: str
) -> None:
    """
    A figure equal to the bound passes; the wrong side is a miss.
    """
    bar = Bar("name", "fixed", "what", relation, 2.0, "x")
    assert verdict(bar, figure, judged=True) == expected
    assert verdict(bar, figure, judged=False) == "not judged"


def test_bars_have_names_of_their_own_and_known_groups() -> None:
    """
    No two bars share a name, and each belongs to a group that is measured.
    """
    names = [bar.name for bar in BARS]
    assert len(set(names)) == len(names)
    assert {bar.group for bar in BARS} <= set(GROUPS)


def test_speed_is_their_time_over_ours() -> None:
    """
    "Twice as fast as lmdb" means that lmdb takes twice our time.
    """
    rounds: dict[str, list[float]] = {}
    series = {"pyfaster": Series((100.0,)), "lmdb": Series((200.0,))}
    compare(rounds, "bar", series, "lmdb", "pyfaster")
    compare(rounds, "absent", series, "rocksdict", "pyfaster")
    assert rounds == {"bar": [2.0]}


def test_memory_is_judged_from_a_size_on_by_peaks() -> None:
    """
    Early samples are kept but not judged; the worst figure is a peak, not a sample.
    """
    samples = [[10, 9_000, 9_500], [100, 5_000, 7_000], [200, 9_000, 9_100]]
    best, worst, curve = per_item(samples, 100)
    assert (best, worst) == (45.0, 70.0)
    assert curve[0] == [10.0, 900.0, 950.0]
