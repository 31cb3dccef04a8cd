from smoke_vq.evaluation.forecasts.measure import Measured
from smoke_vq.evaluation.forecasts.pictures.by_horizon import row_styles
from smoke_vq.evaluation.forecasts.references import FLOOR, PERFECT, REPEAT, THROUGH_CODES
from smoke_vq.evaluation.forecasts.results import Results
from smoke_vq.evaluation.forecasts.row import Row


def test_sixteen_rows_are_told_apart_from_each_other_and_from_the_limits():
    limits, others = (PERFECT, THROUGH_CODES, FLOOR), [REPEAT, *(f"forecaster {number}" for number in range(15))]
    measured = [Measured(Row(name, lambda case: None, "limit"), 1 if name == FLOOR else 4) for name in limits]
    measured += [Measured(Row(name, lambda case: None), 4) for name in others]
    styles = row_styles(Results(measured, {}, ["plume"], REPEAT))
    assert len({(style["color"], style["linestyle"]) for style in styles.values()}) == 19
    assert {styles[name]["color"] for name in limits} == {"black", "0.5"}
    assert not {styles[name]["linestyle"] for name in limits} & {styles[name]["linestyle"] for name in others}
