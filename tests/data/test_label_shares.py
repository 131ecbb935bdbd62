"""A draw per client: equal sizes, every sample one owner, and the shares' law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.data.partition import partition
from fl_backdoor.data.partitioners.label_shares import deal_out


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=120),
    num_clients=st.integers(1, 20),
    alpha=st.sampled_from([0.01, 0.5, 5.0, 1000.0]),
    seed=st.integers(0, 99),
)
def test_every_sample_has_one_owner_and_sizes_are_even(labels, num_clients, alpha, seed):
    num_clients = min(num_clients, len(labels))
    parts = deal_out(np.array(labels), num_clients, alpha, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    sizes = [len(rows) for rows in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("alpha", [1.0, 5.0, 50.0])
def test_numbers_of_a_class_follow_the_dirichlet_multinomial_law(alpha):
    # As long as no class runs out: the variance is n·p(1-p)·(n+α)/(1+α), here with n = 60 and p = 1/4.
    labels = np.repeat(np.arange(4), 3000)
    counts = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        first = int(np.random.default_rng(seed).permutation(200)[0])
        counts.append(np.bincount(labels[deal_out(labels, 200, alpha, random)[first]], minlength=4))
    assert np.mean(counts) == 15
    wanted = 60 * 0.25 * 0.75 * (60 + alpha) / (1 + alpha)
    assert np.var(counts) == pytest.approx(wanted, rel=0.1)


def test_shares_are_drawn_around_those_of_all_data():
    labels = np.repeat(np.arange(3), [6000, 3000, 1000])
    random = np.random.default_rng(0)
    counts = [np.bincount(labels[rows], minlength=3) for rows in deal_out(labels, 50, 1e6, random)]
    np.testing.assert_allclose(np.array(counts) / 200, np.tile([0.6, 0.3, 0.1], (50, 1)), atol=0.12)


def test_it_is_a_partitioner(tmp_path):
    labels = np.repeat(np.arange(10), 60)
    target = "fl_backdoor.data.partitioners.label_shares.LabelShares"
    config = PartitionConfig(num_clients=7, partitioner={"_target_": target, "dirichlet_alpha": 1.0})
    plan = partition(labels, config, 3, tmp_path)
    assert sorted(np.concatenate(plan)) == list(range(600))
    # Strong skew: in the mean more than half of a client's samples are of two classes, of which it would
    # have a fifth under equal shares.
    tops = [np.sort(np.bincount(labels[rows], minlength=10))[-2:].sum() / len(rows) for rows in plan]
    assert np.mean(tops) > 0.5
