"""The plan is in steps, every bag is used before any comes again, and the best epoch is kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from easy import SIZE, patient_bags, voxel_bags
from torch import nn

from scanprior.learning.arm import Epoch, validation
from scanprior.learning.network import Dropout, dense_network, start
from scanprior.learning.network_arm import one_group
from scanprior.learning.training import Blocks, Plan, network_logits, train_network

PLAN = Plan(epochs=4, steps=15, batch=32, warm_up=4)
SETTINGS = {"learning_rate": 3e-3, "weight_decay": 0.01, "dropout": 0.2}


def network(seed: int = 0) -> nn.Sequential:
    made = dense_network((int(np.prod(SIZE)), 12, 3), "rectified", dropout=0.2)
    start(made, "rectified", torch.Generator().manual_seed(seed))
    return made


def test_rate_warms_up_and_falls_to_nothing_whatever_the_data() -> None:
    rates = [PLAN.rate(step) for step in range(PLAN.total)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert max(rates) == 1.0 and rates[4:] == sorted(rates[4:], reverse=True) and 0 < rates[-1] < 0.01


def test_every_patch_is_used_before_any_comes_again() -> None:
    train = voxel_bags([1, 2], 90)  # 180 patches, 480 are drawn
    (block,) = list(Blocks(train, PLAN, 7, 0))
    rows = np.concatenate([rows for rows, _, _ in block])
    counts = np.bincount(rows, minlength=180)
    assert len(rows) == 480 and counts.min() >= 2 and counts.max() <= 3
    for chosen, bag, targets in block:
        np.testing.assert_array_equal(targets, train.targets[chosen])
        np.testing.assert_array_equal(bag, np.arange(32))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    train = voxel_bags([1])
    first = [next(iter(Blocks(train, PLAN, 7, epoch)))[0][0].tolist() for epoch in (0, 1)]
    assert first[0] != first[1]
    blocks = Blocks(train, PLAN, 7, 0)
    assert [next(iter(blocks))[0][0].tolist() for _ in range(2)] == first


def test_batches_of_patients_hold_a_random_part_of_their_patches() -> None:
    train = patient_bags(list(range(6)))
    (block,) = list(Blocks(train, dataclasses.replace(PLAN, bag_patches=8), 7, 0))
    for rows, bag, targets in block:
        assert len(targets) == 4 and len(rows) == 32
        patients = train.bag[rows].reshape(4, 8)
        assert (patients == patients[:, :1]).all()
        assert all(len(set(part)) == 8 for part in rows.reshape(4, 8).tolist())
        np.testing.assert_array_equal(targets, train.targets[patients[:, 0]])
        np.testing.assert_array_equal(bag, np.repeat(np.arange(4), 8))


def test_best_epoch_is_kept_and_not_the_last() -> None:
    train, valid = voxel_bags([1, 2]), voxel_bags([4])
    wrong = dataclasses.replace(valid, targets=(valid.targets + 1) % 3)  # the better it learns, the worse it scores
    made = network()
    score, history = train_network(
        made, train, wrong, settings=SETTINGS, groups=one_group, plan=PLAN, seed=1, pooled=False
    )
    assert len(history) == PLAN.epochs
    best = max(history, key=lambda row: (row.valid_score, -row.valid_loss))
    assert best.epoch < PLAN.epochs - 1 and score == best.valid_score
    loss, again = validation(network_logits(made, wrong, pooled=False), wrong.targets, pooled=False)
    assert (loss, again) == (best.valid_loss, best.valid_score)


def test_loss_falls_and_dropout_is_off_in_prediction() -> None:
    train, valid = voxel_bags([1, 2]), voxel_bags([4])
    made = network()
    _, history = train_network(made, train, valid, settings=SETTINGS, groups=one_group, plan=PLAN, seed=1, pooled=False)
    assert history[-1].train_loss < 0.8 * history[0].train_loss
    assert network_logits(made, valid, pooled=False).tobytes() == network_logits(made, valid, pooled=False).tobytes()


def test_logged_epochs_are_those_of_the_history() -> None:
    seen: list[Epoch] = []
    _, history = train_network(
        network(), voxel_bags([1]), voxel_bags([4]), settings=SETTINGS, groups=one_group, plan=PLAN, seed=1, pooled=False,
        log=seen.append,
    )  # fmt: skip
    assert seen == history


def test_dropout_keeps_the_mean_and_uses_its_own_generator() -> None:
    layer = Dropout(0.4).train()
    layer.generator = torch.Generator().manual_seed(1)
    states = layer(torch.ones(200, 500))
    assert abs(float(states.mean()) - 1) < 0.01
    assert abs(float((states == 0).float().mean()) - 0.4) < 0.01
    layer.generator = torch.Generator().manual_seed(1)
    assert torch.equal(states, layer(torch.ones(200, 500)))
    assert torch.equal(layer.eval()(states), states)


def test_balanced_accuracy_and_log_loss_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1]]))
    targets = np.array([0, 0, 0, 1])
    loss, score = validation(logits, targets, pooled=False)
    np.testing.assert_allclose(loss, -np.log([0.7, 0.6, 0.2, 0.8]).mean())
    np.testing.assert_allclose(score, (2 / 3 + 1) / 2)
    assert validation(logits, targets, pooled=True)[1] == -loss
