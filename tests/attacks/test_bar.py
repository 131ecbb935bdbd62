import pytest
import torch

from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.core.errors import ConfigError


def test_the_articles_bar_covers_rows_2_to_27_and_columns_3_to_5_in_red():
    images = torch.full((2, 3, 32, 32), 0.5)
    stamped = Bar((3, 32, 32)).stamp(images)
    changed = (stamped != images).any(dim=1)[0]
    assert changed.sum() == 26 * 3
    assert changed[2:28, 3:6].all()
    assert torch.equal(stamped[0, :, 2, 3], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(stamped[1, :, 27, 5], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(stamped[0, :, 1, 3], torch.tensor([0.5, 0.5, 0.5]))
    assert torch.equal(stamped[0, :, 28, 5], torch.tensor([0.5, 0.5, 0.5]))
    assert (images == 0.5).all(), "the originals are left alone"


def test_grey_images_take_the_first_channel_of_the_colour():
    stamped = Bar((1, 28, 28), color=(0.75, 0.0, 0.0)).stamp(torch.zeros(1, 1, 28, 28))
    assert stamped[0, 0, 2:28, 3:6].unique().tolist() == [0.75]
    assert stamped.sum().item() == 0.75 * 26 * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": (2, 32)}, "attack.trigger.rows = [2, 32]: must be ordered and within 0 … 31"),
        ({"columns": (5, 3)}, "attack.trigger.columns = [5, 3]: must be ordered and within 0 … 31"),
        ({"color": (1.0,)}, "attack.trigger.color = [1.0]: must have 3 values"),
    ],
)
def test_a_bar_that_does_not_fit_is_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        Bar((3, 32, 32), **settings)
    assert str(error.value) == message
