import pytest

from smoke_vq.preparation.rise.prepare import Preparation


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"size": 5000}, {"matting": "keying"}, {"gain": 0.0}, {"min_coverage": 0.5, "max_coverage": 0}],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong)).split('_')[-1]}"):
        Preparation(**wrong)
