"""Fine-tuning: it improves what pretraining began, repeats itself, goes on after a stop, and says when it diverges."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from scanprior.energy.dbn import DBN
from scanprior.energy.finetune import FineTuner, cross_entropy, fine_tune, squared_error
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian
from scanprior.energy.velocity import Diverged


def pretrained() -> tuple[DBN, torch.Tensor]:
    """Two machines on rows of four bits that are on or off together, with a linear code on top."""
    data = torch.randint(0, 2, (200, 3), generator=Generator().manual_seed(1)).repeat_interleave(4, 1).float()
    bottom, top = RBM(Bernoulli(12), Bernoulli(8)), RBM(Bernoulli(8), Gaussian(3))
    fit_rbm(bottom, data, epochs=30, generator=Generator().manual_seed(2), batch_size=20)
    fit_rbm(top, DBN([bottom]).encode(data).detach(), epochs=30, generator=Generator().manual_seed(3), batch_size=20)
    return DBN([bottom, top]), data


@pytest.mark.parametrize("loss", [squared_error, cross_entropy])
def test_an_unrolled_stack_becomes_a_better_autoencoder(loss):
    dbn, data = pretrained()
    network = dbn.unroll()
    before = float(squared_error(network(data), data).detach())
    losses = fine_tune(network, data, data, loss, epochs=40, seed=1, batch_size=20, learning_rate=0.01)
    after = float(squared_error(network(data), data).detach())
    assert after < 0.2 * before and losses[-1] < losses[0] and len(losses) == 40


def test_losses_by_hand():
    output, target = torch.tensor([[0.5, 0.25], [1.0, 0.5]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(squared_error(output, target)) == pytest.approx((0.25 + 0.0625 + 0.25) / 2)
    nats = -(torch.tensor([0.5, 0.75, 1.0, 0.5]).log().sum()) / 2
    assert float(cross_entropy(output, target)) == pytest.approx(float(nats))


def test_it_goes_on_from_its_saved_state_bit_for_bit_and_leaves_the_global_generator_alone(tmp_path):
    dbn, data = pretrained()
    labels = data[:, 0].long()

    def make() -> FineTuner:
        return FineTuner(
            dbn.classifier(2, dropout=0.5), nn.functional.cross_entropy, epochs=4, rows=200, seed=5, batch_size=30
        )

    state = torch.get_rng_state()
    whole = make()
    losses = [whole.epoch(data, labels) for _ in range(4)]
    assert torch.equal(state, torch.get_rng_state())
    first, second = make(), make()
    for _ in range(2):
        first.epoch(data, labels)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    torch.manual_seed(99)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [second.epoch(data, labels) for _ in range(2)] == losses[2:]
    for one, two in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, two)


def test_divergence_is_said():
    _, data = pretrained()
    network = nn.Sequential(nn.Linear(12, 12))
    with pytest.raises(Diverged, match=r"diverged in epoch \d+.*Lower the learning rate"):
        fine_tune(network, data * 1e20, data, squared_error, epochs=5, seed=1, learning_rate=10.0)


def test_a_loss_without_a_gradient_in_bfloat16_is_refused():
    with pytest.raises(ValueError, match="no gradient"):
        FineTuner(nn.Linear(3, 3), cross_entropy, epochs=1, rows=10, seed=0, bfloat16=True)
