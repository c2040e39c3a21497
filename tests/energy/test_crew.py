"""Products shared among threads: the same numbers however they are shared, and shared only while that is faster."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
import torch
from torch import Generator

from scanprior.energy.crew import Crew
from scanprior.energy.objectives import CD
from scanprior.energy.products import Products, Shared
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.units import Bernoulli


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock that goes on by what a block takes on it."""

    def __init__(self, alone: float, shared: float) -> None:
        self.cost = {False: alone, True: shared}
        self.now, self.blocks = 0.0, 0

    def run(self, crew: Crew, blocks: int) -> list[bool]:
        """Which of the blocks were shared."""
        ways: list[bool] = []
        for _ in range(blocks):
            with crew.block(lambda: 10 * self.blocks):
                self.blocks += 1
                self.now += 10 * self.cost[crew.shares]
            ways.append(crew.shares)
        return ways


def machine_and_crew(alone: float, shared: float) -> tuple[Machine, Crew]:
    machine = Machine(alone, shared)
    return machine, Crew(2, clock=lambda: machine.now)


@pytest.mark.parametrize(("visible", "hidden"), [(300, 200), (784, 131), (40, 30)])
def test_parts_are_the_product_and_the_same_bits_shared_or_in_turn(visible, hidden):
    generator = Generator().manual_seed(1)
    weight, v, h = (
        torch.randn(*shape, generator=generator) for shape in ((visible, hidden), (20, visible), (20, hidden))
    )
    up, down = torch.randn(hidden, generator=generator), torch.randn(visible, generator=generator)

    def all_three(products: Products) -> list[torch.Tensor]:
        velocity = torch.ones(visible, hidden)
        products.add_outer_(velocity, v, h, beta=0.5, alpha=0.1)
        return [products.up(up, v, torch.empty(20, hidden)), products.down(down, h, torch.empty(20, visible)), velocity]

    crew = Crew(3)
    in_turn = all_three(Shared(weight, crew))
    crew.shares = True
    shared = all_three(Shared(weight, crew))
    for one, other, whole in zip(in_turn, shared, all_three(Products(weight)), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, whole)


def pieces(shared: Shared, n: int) -> list[int]:
    """In how many parts the crew makes each product; none of those that are made in one piece."""
    visible, hidden = shared._weight.shape
    v, h, counts = torch.ones(n, visible), torch.ones(n, hidden), []
    each = shared._crew.each
    shared._crew.each = lambda task, parts: counts.append(len(parts)) or each(task, parts)
    shared.up(h[0], v, torch.empty(n, hidden))
    shared.down(v[0], h, torch.empty(n, visible))
    shared.add_outer_(torch.ones(visible, hidden), v, h, beta=0.5, alpha=0.1)
    return counts


def test_who_does_not_share_makes_a_product_in_one_piece():
    weight = torch.zeros(300, 200)
    if not Shared(weight, Crew(2))._tried(20):
        pytest.skip("this processor's products have other bits in parts")
    assert pieces(Shared(weight, Crew(2)), 20) == []


def test_who_shares_makes_the_parts():
    crew = Crew(2)
    crew.shares = True
    assert pieces(Shared(torch.zeros(300, 200), crew), 20) == [2, 2, 2]


def test_a_product_whose_parts_have_other_bits_is_made_in_parts_by_whoever_makes_it(monkeypatch):
    whole = Products.down
    monkeypatch.setattr(Products, "down", lambda self, *given: whole(self, *given).mul_(1 + 2**-20))
    assert pieces(Shared(torch.zeros(300, 200), Crew(2)), 20) == [2, 2, 2]


@pytest.mark.usefixtures("two_threads")
def test_no_timed_block_pays_for_the_trial_of_whole_products(monkeypatch):
    stepper = Stepper(RBM(Bernoulli(300), Bernoulli(150)), CD(1), batch_size=20, steps=30, seed=3, learning_rate=0.05)
    stepper._begin()
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(Shared, "_tried", lambda self, n: pytest.fail(f"tried in a block, for {n} rows"))
    stepper._crew._faster = lambda: False
    stepper.block(torch.rand(200, 300), torch.arange(200).view(10, 20))


@pytest.mark.usefixtures("two_threads")
def test_training_gives_the_same_bits_whatever_the_clock_chose():
    data, rows = torch.rand(200, 300, generator=Generator().manual_seed(0)), torch.arange(200).view(10, 20)
    weights = []
    for ways in ([False] * 3, [True] * 3, [False, True, False]):
        rbm = RBM(Bernoulli(300), Bernoulli(150))
        stepper = Stepper(rbm, CD(1, sample_visible=True), batch_size=20, steps=30, seed=3, learning_rate=0.05)
        stepper._begin()
        assert stepper._crew.threads == 2
        chosen = iter(ways)
        stepper._crew._faster = lambda chosen=chosen: next(chosen)
        for _ in range(3):
            stepper.block(data, rows)
        weights.append(rbm.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_parts_cover_the_width_and_none_is_narrow():
    for width in (1, 63, 64, 127, 128, 500, 2197):
        parts = Crew(4).parts(width)
        assert (parts[0].start, parts[-1].stop) == (0, width)
        assert all(left.stop == right.start for left, right in pairwise(parts))
        assert len(parts) == 1 or min(part.stop - part.start for part in parts) >= 64
    assert len(Crew(4).parts(500)) == 4
    assert len(Crew(100).parts(10_000)) == 8


@pytest.mark.usefixtures("two_threads")
def test_the_faster_way_is_taken_and_the_other_is_rarely_tried():
    for alone, shared in ((2.0, 1.5), (2.0, 2.0), (2.0, 10.0)):
        machine, crew = machine_and_crew(alone, shared)
        ways = machine.run(crew, 1000)
        assert ways.count(shared < alone) > 900
        assert ways.count(shared >= alone) > 0  # else a change of load would never be seen
        assert machine.now < 1.03 * 10_000 * min(alone, shared)


@pytest.mark.usefixtures("two_threads")
def test_a_slow_first_block_does_not_decide():
    machine, crew = machine_and_crew(20.0, 15.0)
    assert machine.run(crew, 1) == [False]
    machine.cost = {False: 2.0, True: 15.0}
    assert machine.run(crew, 2) == [False, True]
    machine.cost = {False: 2.0, True: 1.5}
    assert all(machine.run(crew, 20))


@pytest.mark.usefixtures("two_threads")
def test_the_choice_follows_the_load():
    machine, crew = machine_and_crew(2.0, 1.5)
    assert machine.run(crew, 50)[-1]
    machine.cost = {False: 3.0, True: 9.0}
    assert machine.run(crew, 50).count(True) < 5
    machine.cost = {False: 2.0, True: 1.5}
    ways = machine.run(crew, 500)
    assert ways[-120:].count(True) > 115  # all but the rare trials of one thread


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_comes_back_also_after_a_failure():
    crew, seen = Crew(2), []
    with pytest.raises(KeyError), crew.block(lambda: 0):
        seen.append(torch.get_num_threads())
        raise KeyError
    assert (seen, torch.get_num_threads()) == ([1], 2)


def test_a_failure_of_a_helper_is_told():
    def task(part: slice) -> None:
        if part.start:
            raise ArithmeticError(part.start)

    crew = Crew(2)
    crew.shares = True
    with pytest.raises(ArithmeticError):
        crew.each(task, crew.parts(200))


def test_helpers_work_after_a_fork_too():
    crew = Crew(2)
    crew.shares = True
    crew.each(lambda part: None, crew.parts(200))
    child = os.fork()
    if not child:
        crew.each(lambda part: None, crew.parts(200))
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
