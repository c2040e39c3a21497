"""Convolutional pretraining: a run killed anywhere ends with the same bytes; each way learns what it is meant to."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator

from scanprior.learning.arm import Setup
from scanprior.learning.convolutional_pretraining import pretrain_autoencoder, pretrain_machines, pretrain_placed
from scanprior.learning.convolutional_prior import ConvolutionalPrior
from scanprior.learning.network import weights_of
from scanprior.learning.prior import save_prior
from scanprior.learning.registry import make_arm

SIZE = (7, 5, 5)
WAYS = {"machines": pretrain_machines, "autoencoder": pretrain_autoencoder, "placed": pretrain_placed}

RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from test_convolutional_pretraining import WAYS, options
from scanprior.learning import pretraining_loop
from scanprior.learning.network import weights_of
from scanprior.learning.prior import save_prior
from scanprior.learning.registry import make_arm
torch.set_num_threads(1)
pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
def log(values, step):
    print(next(iter(values)).split("/")[0], step, flush=True)
    time.sleep(float(sys.argv[5]))
result = WAYS[sys.argv[2]](work=Path(sys.argv[3]), epochs=4, batch_size=4, log=log, **options(sys.argv[2], 260))
save_prior(result.prior, Path(sys.argv[4]), {"measured": result.measured})
"""


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


def patches(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixtures of three smooth patterns, and places that the mixture tells, with some noise."""
    generator = Generator().manual_seed(0)
    patterns = torch.nn.functional.avg_pool3d(torch.randn(3, 1, 9, 7, 7, generator=generator), 3, stride=1).flatten(1)
    shares = torch.randn(n, 3, generator=generator)
    return shares @ patterns * 40 + 200, 10 * shares + torch.randn(n, 3, generator=generator)


def options(way: str, n: int) -> dict[str, Any]:
    data, places = patches(n)
    common = {"gather": lambda rows: data[rows], "rows": n, "patch_size": SIZE, "seeds": seeds,
              "held_out": torch.arange(0, n, 10)}  # fmt: skip
    return {**common, "places": lambda rows: places[rows]} if way == "placed" else common


def begin(way: str, work: Path, out: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", RUN, here, way, str(work), str(out), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_until(process: subprocess.Popen[str], lines: int | None = None) -> list[str]:
    assert process.stdout is not None
    found: list[str] = []
    for line in process.stdout:
        found.append(line)
        if len(found) == lines:
            break
    return found


def test_killed_it_goes_on_and_ends_with_the_same_bytes(tmp_path):
    run = begin("placed", tmp_path / "killed", tmp_path / "b", pause=0.02)
    seen = [lines_until(run, 30)]  # in the second layer
    run.kill()
    run.wait()
    assert not (tmp_path / "b").exists(), "it was meant to be killed before its end"
    last = begin("placed", tmp_path / "killed", tmp_path / "b")
    seen.append(lines_until(last))
    assert last.wait() == 0
    assert seen[0][-1].startswith("layer2") and int(seen[1][0].split()[1]) > int(seen[0][20].split()[1])
    whole = pretrain_placed(work=tmp_path / "whole", epochs=4, batch_size=4, **options("placed", 260))
    save_prior(whole.prior, tmp_path / "a", {"measured": whole.measured})
    for file in ("prior.safetensors", "card.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


class Stop(BaseException):
    """Not an Exception, so that nothing on the way treats it as one of its own."""


def test_stopped_while_it_learns_the_place_it_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("scanprior.learning.pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def run(work, log):
        return pretrain_placed(work=tmp_path / work, epochs=4, batch_size=10, log=log, **options("placed", 210))

    calls: list[str] = []

    def log(values, step):
        calls.append(next(iter(values)))
        if len(calls) == 41:
            raise Stop

    with pytest.raises(Stop):
        run("stopped", log)
    assert calls[-1].startswith("place"), calls[-1]
    again, whole = run("stopped", log).prior, run("whole", None).prior
    assert len(calls) > 41, "nothing was left to do"
    for one, two in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_patches_of_unknown_place_do_not_teach_it_and_the_others_come_more_often(tmp_path):
    ends, steps = [], []
    for run in range(2):
        given = options("placed", 240)
        data, places = patches(240)
        places[80:] = torch.nan
        asked: list[torch.Tensor] = []

        def gather(rows, *, data=data, asked=asked):
            asked.append(rows)
            return data[rows]

        counted: list[int] = []
        prior, measured = pretrain_placed(
            work=tmp_path / str(run), epochs=2, machine_epochs=0, batch_size=10, log=lambda v, step, to=counted: to.append(step),
            **{**given, "gather": gather, "places": lambda rows, places=places: places[rows]},
        )  # fmt: skip
        ends.append(prior.state_dict())
        assert measured["place/patches"] == 72, "80 less the eight held out"
        assert 0 < measured["place/unseen_reconstruction"] < 2, "of the eight held out whose place is known"
        learned = torch.cat([rows for rows in asked if len(rows) == 10])
        assert int(learned.max()) < 80
        steps.append(counted[-1] - counted[0])
    assert all(torch.equal(one, other) for one, other in zip(*(end.values() for end in ends), strict=True))
    assert steps[0] == pytest.approx(2 * 216 / 10, rel=0.2), "as many mini-batches as 216 rows make in two epochs"


def test_a_handful_of_known_places_makes_no_more_mini_batches_than_the_others(tmp_path):
    _, places = patches(240)
    places[4:] = torch.nan
    steps: list[int] = []
    pretrain_placed(
        work=tmp_path, epochs=2, machine_epochs=0, batch_size=10, log=lambda values, step: steps.append(step),
        **{**options("placed", 240), "places": lambda rows: places[rows]},
    )  # fmt: skip
    assert len(steps) == 2 * 22, "three rows make one mini-batch an epoch, 216 made 22"


def test_without_a_known_place_it_says_what_to_do(tmp_path):
    given = {**options("placed", 60), "places": lambda rows: torch.full((len(rows), 3), torch.nan)}
    with pytest.raises(ValueError, match=r"0 of 54 patches lie wholly inside their scan.*smaller patches"):
        pretrain_placed(work=tmp_path, epochs=1, machine_epochs=0, **given)


def test_without_epochs_the_machines_stay_at_their_start(tmp_path):
    prior = pretrain_placed(work=tmp_path, epochs=1, machine_epochs=0, **options("placed", 60)).prior
    first = prior.net.machines[0].weight.detach()
    assert float(first.std()) == pytest.approx(0.03, rel=0.1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One prior of each way, trained a little longer."""
    torch.manual_seed(3)
    state = torch.get_rng_state()
    found = {}
    for way, train in WAYS.items():
        work = tmp_path_factory.mktemp(way)
        logged, shown = [], []
        found[way] = train(
            work=work, epochs=6, batch_size=10, log=lambda values, step, to=logged: to.append((step, values)),
            progress=lambda done, total, to=shown: to.append(done / total), **options(way, 600),
        ), logged, shown  # fmt: skip
        assert {file.suffix for file in work.iterdir()} == {".pt"}, "a checkpoint was left behind"
    assert torch.equal(state, torch.get_rng_state()), "the global generator was used"
    return found


@pytest.mark.parametrize("way", WAYS)
def test_it_is_measured_on_unseen_patches_and_progress_rises_to_the_end(trained, way):
    result, logged, shown = trained[way]
    assert [step for step, _ in logged] == sorted(step for step, _ in logged)
    assert shown == sorted(shown) and shown[-1] == pytest.approx(1.0)
    assert isinstance(result.prior, ConvolutionalPrior) and result.prior.patch_size == SIZE
    errors = [value for key, value in result.measured.items() if key.endswith("/unseen_reconstruction")]
    assert len(errors) == {"machines": 3, "autoencoder": 1, "placed": 4}[way]
    assert all(0 < error < 1 for error in errors), result.measured  # 1: the mean


@pytest.mark.parametrize(("way", "layers"), [("machines", 3), ("placed", 3), ("autoencoder", 0)])
def test_the_hidden_maps_of_machines_are_watched(trained, way, layers):
    result, logged, _ = trained[way]
    assert len([key for key in result.measured if key.endswith("/units_off")]) == layers
    last = {key: value for _, values in logged for key, value in values.items()}
    for layer in range(1, layers + 1):
        shares = [value for key, value in last.items() if key.startswith(f"layer{layer}/hidden_activations/0")]
        assert 0 < sum(shares) <= 1 and last[f"layer{layer}/hidden_activations/top"] > 0
        assert f"layer{layer}/hidden_activations/top" not in result.measured


def test_reconstructions_come_closer_to_the_patch_than_its_mean(trained):
    data, _ = patches(600)
    for way in WAYS:
        prior = trained[way][0].prior
        again = prior.reconstruct(data[::10])
        assert float((again - data[::10]).square().mean().detach()) < 0.9 * float(data.var(0).mean()), way


def test_a_placed_prior_tells_the_place_better_than_its_machines_alone(trained):
    """A linear map of the features, fitted on some patches, judged on others."""
    data, places = patches(600)
    errors = {}
    for way in ("machines", "placed"):
        features = torch.cat([trained[way][0].prior.encode(data).detach(), torch.ones(600, 1)], 1)
        half = features[::2]
        ridge = torch.linalg.solve(half.t() @ half + 1e-2 * torch.eye(half.shape[1]), half.t() @ places[::2])
        errors[way] = float((features[1::2] @ ridge - places[1::2]).square().mean())
    assert errors["placed"] < errors["machines"]
    assert trained["placed"][0].measured["place/unseen_reconstruction"] < 0.5


def test_a_finished_run_is_not_trained_again(tmp_path):
    logged = []
    run = lambda: pretrain_placed(  # noqa: E731
        work=tmp_path, epochs=1, batch_size=20, log=lambda values, step: logged.append(step), **options("placed", 60)
    )
    first, count = run(), len(logged)
    second = run()
    assert count > 0 and len(logged) == count and first.measured == second.measured
    for one, two in zip(first.prior.state_dict().values(), second.prior.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_bad_patches_and_objectives_without_a_step_are_refused(tmp_path):
    data, _ = patches(50)
    data[31, 2] = float("nan")
    base = {"gather": lambda rows: data[rows], "rows": 50, "patch_size": SIZE, "seeds": seeds, "epochs": 1}
    for way in (pretrain_machines, pretrain_autoencoder):
        with pytest.raises(ValueError, match=r"patch 31 .* not finite"):
            way(work=tmp_path, **base)
    with pytest.raises(ValueError, match="contrastive divergence"):
        pretrain_machines(work=tmp_path, objective="pcd1", **options("machines", 50))


def test_constant_voxels_and_outliers_leave_everything_finite(tmp_path):
    data, places = patches(200)
    data[:, 4], data[17] = 7.0, data[17] * 1e4
    prior = pretrain_placed(
        lambda rows: data[rows], 200, places=lambda rows: places[rows], patch_size=SIZE, seeds=seeds, work=tmp_path,
        epochs=2, batch_size=20,
    ).prior  # fmt: skip
    save_prior(prior, tmp_path / "saved", {})
    assert all(torch.isfinite(tensor).all() for tensor in prior.state_dict().values())
    assert torch.isfinite(prior.encode(data)).all()


def test_a_wider_prior_starts_a_network_of_its_own_width(tmp_path):
    result = pretrain_machines(work=tmp_path, epochs=1, width=20, **options("machines", 60))
    setup = Setup(2, SIZE, prior=result.prior, width=4)
    network = make_arm("conv_dbn", setup).build(setup, {"dropout": 0.0}, Generator().manual_seed(1))
    assert [weight.shape[0] for weight, _ in weights_of(network)] == [20, 40, 80]
    torch.testing.assert_close(weights_of(network)[0][0], result.prior.convolutions()[0][0])
