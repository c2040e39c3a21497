"""Pretraining: learns, is quiet, and a run that was killed ends with the same bytes as one that was not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Generator

from scanprior.energy.objectives import CD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.units import Bernoulli, Gaussian
from scanprior.learning.pretraining import pretrain
from scanprior.learning.pretraining_loop import BlockTraining, EpochBlocks
from scanprior.learning.prior import save_prior

RUN = """
import hashlib, sys, time
from pathlib import Path
import torch
from scanprior.learning import pretraining, pretraining_loop
from scanprior.learning.prior import save_prior
torch.set_num_threads(1)
pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
generator = torch.Generator().manual_seed(0)
data = torch.randn(330, 6, generator=generator) @ torch.randn(6, 27, generator=generator)
seeds = lambda *names: int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")
def log(values, step):
    print(step, flush=True)
    time.sleep(float(sys.argv[3]))
result = pretraining.pretrain(lambda rows: data[rows], len(data), patch_size=(3, 3, 3), seeds=seeds,
    work=Path(sys.argv[1]), layers=(12, 8), hidden="rectified", objective="cd2", epochs=4, batch_size=4, log=log,
    held_out=torch.arange(0, 330, 15))
save_prior(result.prior, Path(sys.argv[2]), {"measured": result.measured})
"""


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


def correlated(n: int = 600, width: int = 27) -> torch.Tensor:
    generator = Generator().manual_seed(0)
    return torch.randn(n, 3, generator=generator) @ torch.randn(3, width, generator=generator) * 2 + 5


def start(work: Path, out: Path, *, pause: float = 0.0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", RUN, str(work), str(out), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def steps_until(process: subprocess.Popen[str], lines: int | None = None) -> list[int]:
    """The step numbers that a run prints: the first `lines` of them, or all until it ends."""
    assert process.stdout is not None
    steps: list[int] = []
    for line in process.stdout:
        steps.append(int(line))
        if len(steps) == lines:
            break
    return steps


def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path):
    whole = start(tmp_path / "whole", tmp_path / "a")
    first = start(tmp_path / "killed", tmp_path / "b", pause=0.05)
    steps = [steps_until(first, 9)]  # in the middle of layer 1
    first.kill()
    second = start(tmp_path / "killed", tmp_path / "b", pause=0.02)
    steps.append(steps_until(second, 16))  # in layer 2
    second.kill()
    assert not (tmp_path / "b").exists(), "it was meant to be killed before its end"
    last = start(tmp_path / "killed", tmp_path / "b")
    steps.append(steps_until(last))
    all_steps = steps_until(whole)
    assert whole.wait() == last.wait() == 0
    assert steps[0][0] < steps[1][0] < steps[2][0], "finished blocks were trained again"
    assert steps[2][-1] == all_steps[-1]
    for file in ("prior.safetensors", "card.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


class Stop(BaseException):
    """Not an Exception, so that nothing on the way treats it as one of its own."""


@pytest.mark.parametrize("objective", ["cd1", "pcd1", "pt3", "denoising"])
@pytest.mark.parametrize("every", [0.0, 1e9], ids=["each block", "no time for a checkpoint"])
def test_stopped_anywhere_it_repeats_only_what_no_checkpoint_has(tmp_path, monkeypatch, objective, every):
    monkeypatch.setattr("scanprior.learning.pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS", every)
    data = correlated(105)
    saved = 11 if every == 0.0 else 33  # 105 rows in mini-batches of 10: ten in one block and half a one; three epochs
    options = {"patch_size": (3, 3, 3), "seeds": seeds, "layers": (6, 4), "hidden": "bernoulli", "objective": objective,
               "epochs": 3, "batch_size": 10}  # fmt: skip
    whole = pretrain(lambda rows: data[rows], 105, work=tmp_path / "whole", **options).prior.state_dict()
    for stop in (10, 11, 21, 33, 44):
        done: list[int] = []

        def log(values, step, *, done=done, stop=stop):
            done.append(step)
            if step == stop:
                raise Stop

        work = tmp_path / f"stop-{stop}"
        with pytest.raises(Stop):
            pretrain(lambda rows: data[rows], 105, work=work, log=log, **options)
        again: list[int] = []
        prior = pretrain(
            lambda rows: data[rows], 105, work=work, log=lambda v, step, again=again: again.append(step), **options
        ).prior
        assert again[0] > (stop - 1) // saved * saved, "a finished epoch or layer was trained again"
        for name, tensor in prior.state_dict().items():
            assert torch.equal(tensor, whole[name]), (stop, name)


def test_a_finished_run_is_not_trained_again(tmp_path):
    data, logged = correlated(), []
    options = {"patch_size": (3, 3, 3), "seeds": seeds, "work": tmp_path, "layers": (10, 5), "epochs": 2}
    first = pretrain(lambda rows: data[rows], len(data), **options, log=lambda values, step: logged.append(step))
    count = len(logged)
    second = pretrain(lambda rows: data[rows], len(data), **options, log=lambda values, step: logged.append(step))
    assert count > 0 and len(logged) == count
    assert second.measured == first.measured
    for one, two in zip(first.prior.state_dict().values(), second.prior.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("hidden", "objective"),
    [
        ("rectified", "cd1"),
        ("rectified", "cd2"),
        ("rectified", "cd2-sampled"),
        ("bernoulli", "cd1"),
        ("bernoulli", "pcd1"),
        ("bernoulli", "pcd2"),
        ("bernoulli", "pt4"),
        ("bernoulli", "langevin5"),
        ("rectified", "denoising"),
        ("bernoulli", "denoising"),
    ],
)
def test_it_learns_to_reconstruct_unseen_patches(tmp_path, hidden, objective):
    data = correlated(2000)
    unseen = torch.arange(0, 2000, 20)
    result = pretrain(
        lambda rows: data[rows], 2000, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, layers=(30,), hidden=hidden,
        objective=objective, epochs=10, batch_size=20, held_out=unseen,
    )  # fmt: skip
    error = (result.prior.reconstruct(data[unseen]) - data[unseen]).square().mean()
    assert float(error) < 0.5 * float(data.var(0).mean())
    assert result.measured["layer1/unseen_reconstruction"] < 0.5
    bernoulli_machine = hidden == "bernoulli" and objective != "denoising"
    assert ("layer1/free_energy_gap" in result.measured) == bernoulli_machine
    assert result.measured["layer1/units_off"] < 1 and result.measured["layer1/weight_largest"] > 0
    if bernoulli_machine:
        assert result.measured["layer1/chain_memory"] > 0.5 and result.measured["layer1/chain_distance"] >= 0
    else:
        assert "layer1/chain_memory" not in result.measured


@pytest.mark.parametrize("hidden", ["rectified", "bernoulli"])
def test_without_centering_machines_have_no_offsets_and_learn_all_the_same(tmp_path, hidden):
    data, errors = correlated(1000), {}
    for centered in (True, False):
        prior = pretrain(
            lambda rows: data[rows], 1000, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path / str(centered), layers=(20, 10),
            hidden=hidden, centered=centered, epochs=10, batch_size=20,
        ).prior  # fmt: skip
        assert [layer["centered"] for layer in prior.structure()["layers"]] == [centered] * 2
        assert bool(prior.dbn.machines[0].hidden_offset.any()) == centered
        errors[centered] = float((prior.reconstruct(data) - data).square().mean() / data.var(0).mean())
    assert max(errors.values()) < 0.6 and errors[True] != errors[False]


def test_metrics_count_mini_batches_over_all_layers_and_progress_ends_at_the_total(tmp_path):
    data, logged, shown = correlated(100), [], []
    pretrain(
        lambda rows: data[rows], len(data), patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, layers=(6, 4), epochs=2,
        batch_size=30, log=lambda values, step: logged.append((step, values)),
        progress=lambda done, total: shown.append((done, total)),
    )  # fmt: skip
    assert logged[-1][0] == 2 * 2 * 4 and shown[-1] == (16, 16)
    assert {key.split("/")[0] for _, values in logged for key in values} == {"layer1", "layer2"}


def test_every_epoch_tells_the_histogram_of_hidden_activations_and_the_card_stays_short(tmp_path):
    data, told = correlated(100), []
    result = pretrain(
        lambda rows: data[rows], len(data), patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, layers=(6,), epochs=3,
        batch_size=30, log=lambda values, step: told.append((step, values)),
    )  # fmt: skip
    shares = {
        step: [v for k, v in values.items() if "hidden_activations/" in k and "top" not in k] for step, values in told
    }
    full = {step: found for step, found in shares.items() if found}
    assert sorted(full) == [4, 8, 12]
    assert all(len(found) == 20 and sum(found) == pytest.approx(1.0) for found in full.values())
    assert told[-1][1]["layer1/hidden_activations/top"] > 0
    assert not any("hidden_activations" in name for name in result.measured)


def test_the_last_step_tells_what_chains_remember(tmp_path):
    data, told = correlated(100), []
    options = {"patch_size": (3, 3, 3), "seeds": seeds, "layers": (6,), "epochs": 2, "batch_size": 30}
    for hidden in ("bernoulli", "rectified"):
        result = pretrain(
            lambda rows: data[rows], len(data), work=tmp_path / hidden, hidden=hidden,
            log=lambda values, step: told.append(values), **options,
        )  # fmt: skip
        curve = [value for key, value in told[-1].items() if "chain_autocorrelation/" in key]
        assert ("layer1/chain_memory" in result.measured) == (hidden == "bernoulli")
        assert (len(curve), curve[:1]) == ((21, [pytest.approx(1.0)]) if hidden == "bernoulli" else (0, []))
        assert not any("autocorrelation" in name for name in result.measured)


def test_any_loader_of_mini_batches_trains_a_machine():
    data = correlated(100)
    steppers = [Stepper(RBM(Gaussian(27), Bernoulli(6)), CD(1), batch_size=25, steps=8, seed=0, learning_rate=0.01)
                for _ in range(2)]  # fmt: skip
    told: list[int] = []
    module = BlockTraining(steppers[0], None, per_epoch=4, tell=lambda values, step: told.append(step))
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=25))  # pyright: ignore[reportArgumentType]
    for batch in (*data.split(25), *data.split(25)):
        steppers[1].block([batch])
    assert told == list(range(1, 9))
    assert torch.equal(steppers[0].rbm.weight, steppers[1].rbm.weight)


def test_constant_voxels_and_outliers_leave_everything_finite(tmp_path):
    data = correlated(300)
    data[:, 4] = 7.0
    data[17] *= 1e4
    prior = pretrain(
        lambda rows: data[rows], len(data), patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, layers=(10, 5), epochs=5
    ).prior
    assert all(torch.isfinite(tensor).all() for tensor in prior.state_dict().values())
    assert torch.isfinite(prior.encode(data)).all()


def test_a_patch_with_nan_is_refused_by_number(tmp_path):
    data = correlated(50)
    data[31, 2] = float("nan")
    with pytest.raises(ValueError, match=r"patch 31 .* not finite"):
        pretrain(lambda rows: data[rows], 50, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, layers=(4,), epochs=1)


def test_wrong_arguments_are_refused(tmp_path):
    data = correlated(10)
    gather = lambda rows: data[rows]  # noqa: E731
    with pytest.raises(ValueError, match="at least two patches"):
        pretrain(gather, 1, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path)
    with pytest.raises(ValueError, match="bernoulli or rectified; got 'softplus'"):
        pretrain(gather, 10, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, hidden="softplus")
    with pytest.raises(ValueError, match=r"persistent chains .* run away"):
        pretrain(gather, 10, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, objective="pcd1")
    with pytest.raises(ValueError, match="no objective is called 'sm'"):
        pretrain(gather, 10, patch_size=(3, 3, 3), seeds=seeds, work=tmp_path, objective="sm")


def test_global_random_numbers_do_not_matter(tmp_path):
    data, bits = correlated(200), []
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)
        prior = pretrain(
            lambda rows: data[rows],
            200,
            patch_size=(3, 3, 3),
            seeds=seeds,
            work=tmp_path / name,
            layers=(6, 4),
            epochs=1,
        ).prior
        save_prior(prior, tmp_path / name, {})
        bits.append((tmp_path / name / "prior.safetensors").read_bytes())
    assert bits[0] == bits[1]


def test_nothing_is_printed_and_no_log_folder_is_made(tmp_path):
    process = start(tmp_path / "work", tmp_path / "a")
    out, err = process.communicate()
    assert err == "" and all(line.isdigit() for line in out.split())
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"layer-1.pt", "layer-2.pt"}
    assert not (Path.cwd() / "lightning_logs").exists()


def test_every_epoch_uses_each_row_once_in_another_order():
    order = EpochBlocks(torch.arange(10, 33), 4, seed=5)
    epochs = [torch.cat([block.flatten() for block in order]) for _ in range(2)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, torch.arange(10, 33))
    assert not torch.equal(*epochs)
    halfway = EpochBlocks(torch.arange(10, 33), 4, seed=5)
    iterator = iter(halfway)
    first = next(iterator)
    resumed = EpochBlocks(torch.arange(10, 33), 4, seed=5)
    resumed.load_state_dict(halfway.state_dict())
    rest = [block.flatten() for block in resumed]
    assert torch.equal(torch.cat([first.flatten(), *rest]), epochs[0])


def test_sparsity_is_the_share_of_rows_that_hidden_units_are_on_for(tmp_path):
    data = correlated(400)
    options = {"patch_size": (3, 3, 3), "seeds": seeds, "layers": (20, 10), "epochs": 30, "batch_size": 20}
    shares = {}
    for sparsity in (None, 0.1):
        work = tmp_path / str(sparsity)
        made = pretrain(lambda rows: data[rows], 400, work=work, hidden="bernoulli", sparsity=sparsity, **options)
        shares[sparsity] = [made.measured[f"layer{layer}/activation"] for layer in (1, 2)]
    assert min(shares[None]) > 0.3
    assert shares[0.1] == pytest.approx([0.1, 0.1], abs=0.03)
    with pytest.raises(ValueError, match="sparsity is for Bernoulli hidden units; these are rectified"):
        pretrain(lambda rows: data[rows], 400, work=tmp_path / "r", hidden="rectified", sparsity=0.1, **options)
