import numpy as np
import pytest
from PIL import Image

from fl_backdoor.runs import figures
from fl_backdoor.runs.figures import OKABE_ITO, draw_images, draw_rounds, draw_sentences


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def count(image, colour):
    """How many pixels have just this colour, written #RRGGBB."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((image == wanted).all(axis=-1).sum())


@pytest.fixture
def drawn(tmp_path, round_row):
    """Draws two rounds with the given cells in both and returns the picture."""

    def draw(**cells):
        rounds = [round_row(server_round=number, **cells) for number in (0, 1)]
        draw_rounds(tmp_path / "rounds.png", rounds, "CIFAR-10 · Hybrid · α = 0.052")
        return pixels(tmp_path / "rounds.png")

    return draw


def test_each_known_figure_has_its_line(drawn):
    accuracy, asr, sr = OKABE_ITO[:3]
    nothing = drawn()
    assert nothing.shape == (600, 1000, 3)
    one = drawn(attack_success_rate=0.25)
    assert count(one, asr) > count(nothing, asr) + 500
    assert count(one, accuracy) == count(nothing, accuracy)
    all_three = drawn(main_task_accuracy=0.5, attack_success_rate=0.25, success_rate=0.75)
    assert all(count(all_three, colour) > count(nothing, colour) + 500 for colour in (accuracy, asr, sr))


def test_a_higher_share_is_drawn_higher(drawn):
    rows_of = [
        np.nonzero((drawn(success_rate=share)[:500] == [0, 0x9E, 0x73]).all(axis=-1))[0].mean()
        for share in (0.0, 0.5, 1.0)
    ]
    assert rows_of[0] - rows_of[1] == pytest.approx(rows_of[1] - rows_of[2], abs=2)
    assert rows_of[0] - rows_of[1] > 150


def test_a_clean_baseline_is_dashed(drawn):
    line = count(drawn(success_rate=0.25), OKABE_ITO[2])
    with_baseline = count(drawn(success_rate=0.25, clean_success_rate=0.1), OKABE_ITO[2])
    assert line + 300 < with_baseline < 2 * line


def test_rounds_in_which_clients_were_left_out_are_marked(drawn):
    # Text is smoothed with greys, hence the comparison.
    grey = "#555555"
    assert count(drawn(num_filtered=2), grey) > count(drawn(num_filtered=0), grey) + 20


def test_figures_that_are_not_finite_are_gaps(drawn):
    assert drawn(success_rate=float("inf"), main_task_accuracy=0.5).shape == (600, 1000, 3)


def places(picture, image, scale):
    """Where `image` stands in `picture`, each of its pixels a square of `scale`: (row, column) pairs."""
    colours = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    large = np.kron(colours, np.ones((scale, scale, 1), dtype=np.uint8))
    height, width = large.shape[:2]
    corners = np.argwhere((picture == large[0, 0]).all(axis=-1))
    return [
        (row, column)
        for row, column in corners.tolist()
        if np.array_equal(picture[row : row + height, column : column + width], large)
    ]


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((8, 3, 32, 32), 3), ((8, 1, 28, 28), 3), ((1, 3, 5, 7), 8), ((3, 3, 41, 37), 8), ((40, 3, 32, 32), 1)],
)
def test_every_sample_stands_there_pixel_by_pixel(tmp_path, shape, scale):
    clean = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    triggered = clean.copy()
    triggered[:, :, :2, :2] = 255 - triggered[:, :, :2, :2]
    path = tmp_path / "samples.png"
    draw_images(path, clean, triggered, [f"class {number}" for number in range(len(clean))], "dog")
    picture = pixels(path)
    assert picture.shape[1] >= 1000
    found = [[places(picture, image, scale) for image in images] for images in (clean, triggered)]
    assert all(len(where) == 1 for where in found[0] + found[1])
    for [(top, left)], [(lower_top, lower_left)] in zip(*found, strict=True):
        assert lower_top > top + shape[2] * scale, "the triggered images stand below"
        assert lower_left == left
    columns = [left for [(_, left)] in found[0]]
    assert columns == sorted(columns)


def test_samples_have_captions(tmp_path):
    white = np.full((4, 3, 32, 32), 255, dtype=np.uint8)
    draw_images(tmp_path / "samples.png", white, white, ["cat"] * 4, "dog")
    picture = pixels(tmp_path / "samples.png")
    dark = (picture.max(axis=-1) < 100).any(axis=1)
    bands = int((np.diff(dark.astype(int)) == 1).sum())
    assert bands == 4, "a heading and a line of names for each of the two rows"


def test_sentences_stand_one_below_the_other_those_with_the_trigger_coloured(tmp_path):
    path = tmp_path / "samples.png"
    draw_sentences(path, ["a $ or two $"], ["cf a $ or two $"], ["negative"], "positive")
    one = pixels(path)
    draw_sentences(
        path, ["a $ or two $", "word " * 60], ["cf a $ or two $", ""], ["negative"] * 2, "positive"
    )
    two = pixels(path)
    assert one.shape[1] == two.shape[1] == 1000
    # A gap, a name, three lines of at most 100 letters, one empty line; 17 pixels each.
    assert two.shape[0] - one.shape[0] == 6 * 17
    reddish = (one[..., 0] > one[..., 2].astype(int) + 50).any(axis=1).nonzero()[0]
    dark = (one.max(axis=-1) < 100).any(axis=1).nonzero()[0]
    assert reddish.min() > dark.max(), "below the sentence as it is"
    assert reddish.max() - reddish.min() < 17, "in one line"


def test_a_sentence_stays_within_the_picture(tmp_path):
    path = tmp_path / "samples.png"
    draw_sentences(path, ["a common woman , " * 20], ["who warmed hmm " * 20], ["negative"], "positive")
    assert (pixels(path)[:, -5:] == 255).all()


def test_a_picture_is_not_written_in_halves(tmp_path):
    figures.save(figures.new_figure(100, 50), tmp_path / "empty.png")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.png"]
    assert pixels(tmp_path / "empty.png").shape == (50, 100, 3)
