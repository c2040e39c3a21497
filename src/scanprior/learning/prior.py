"""The pretrained prior: a stack of layers with the normaliser of its patches; saved, it works outside the pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Generator, Tensor
from typing_extensions import override

from scanprior.energy.dbn import DBN
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Units
from scanprior.errors import ScanpriorError
from scanprior.learning import convolutional_prior
from scanprior.learning.convolutional_prior import FAMILY
from scanprior.learning.patch_prior import FORMAT, FORMAT_VERSION, PatchPrior, Size

Model = Literal["machines", "autoencoder"]
KINDS: dict[str, type[Units]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "rectified": ReLU}


class Prior(PatchPrior):
    """A stack of restricted Boltzmann machines over patches, with the per-voxel mean and std it was trained with.

    Patches are (n, visible), C order, in the intensities of the prepared volumes; `visible` = product of `patch_size`.
    model: machines, or autoencoder: the same layers were trained to denoise, and nothing can be drawn from them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dbn: DBN, *, mean: Tensor, std: Tensor, patch_size: Size, model: Model = "machines") -> None:
        super().__init__()
        if not len(mean) == len(std) == dbn.sizes[0]:
            raise ValueError(
                f"mean and std have {len(mean)} and {len(std)} values, the net {dbn.sizes[0]} visible units"
            )
        self.dbn, self.patch_size, self.model = dbn, patch_size, model
        self.generates = model == "machines"
        self.register_buffer("mean", mean.detach().clone())
        self.register_buffer("std", std.detach().clone())

    @property
    def hidden(self) -> str:
        """The kind of the hidden units: rectified or bernoulli."""
        return self.dbn.machines[0].hidden.kind

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per layer: visible, hidden, hidden, …"""
        return self.dbn.sizes

    def normalise(self, patches: Tensor) -> Tensor:
        """(patches - mean) / std, per voxel."""
        return (patches - self.mean) / self.std

    @override
    def encode(self, patches: Tensor) -> Tensor:
        return self.dbn.encode(self.normalise(patches))

    forward = encode

    @override
    def reconstruct(self, patches: Tensor) -> Tensor:
        return self.dbn.decode(self.encode(patches)) * self.std + self.mean

    @override
    def filters(self, most: int) -> Tensor:
        weight = self.dbn.machines[0].weight.detach().t()
        strongest = weight.norm(dim=1).argsort(descending=True, stable=True)[:most]
        return weight[strongest].unflatten(-1, self.patch_size)

    @override
    def summary(self) -> str:
        kinds = ", ".join(f"{rbm.visible.kind}-{rbm.hidden.kind}" for rbm in self.dbn.machines)
        units = " - ".join(str(size) for size in self.sizes)
        if self.model == "autoencoder":
            hidden = self.dbn.machines[0].hidden.kind
            return f"A stacked denoising autoencoder with tied weights ({hidden} hidden units), with {units} units."
        return f"A stack of restricted Boltzmann machines ({kinds}), with {units} units."

    @override
    def structure(self) -> dict[str, Any]:
        def units(layer: Units) -> dict[str, Any]:
            return {"kind": layer.kind, "size": layer.size}

        layers = [
            {"visible": units(rbm.visible), "hidden": units(rbm.hidden), "centered": rbm.centered}
            for rbm in self.dbn.machines
        ]
        base = {"format": FORMAT, "version": FORMAT_VERSION, "patch_size": list(self.patch_size), "layers": layers}
        return base if self.model == "machines" else {**base, "model": self.model}

    @override
    def generate(self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None) -> Tensor:
        if not self.generates:
            raise TypeError("nothing can be drawn from an autoencoder; only machines are a model of the patches")
        begin = None if start is None else self.normalise(start)
        return self.dbn.generate(n, generator, sweeps=sweeps, start=begin) * self.std + self.mean


def save_prior(prior: PatchPrior, folder: Path, card: Mapping[str, Any]) -> None:
    """Write `prior.safetensors`, `card.json` and `model_card.md` into `folder`; the same prior gives the same bytes.

    `card`: facts to tell with the prior, plain JSON values, nothing that names a patient (keys as in `model_card`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    structure = prior.structure()
    facts = {**structure, "summary": prior.summary(), **card}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(prior.state_dict().items())}
    _write(folder / "prior.safetensors", save(tensors, {FORMAT: json.dumps(structure, sort_keys=True)}))
    _write(folder / "card.json", (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
    _write(folder / "model_card.md", model_card(facts).encode())


def load_prior(folder: Path | str) -> PatchPrior:
    """The prior that `save_prior` wrote into `folder` (or the file `prior.safetensors` itself), on the CPU.

    Raises:
        ScanpriorError: there is no prior, or it was written by a newer version.
    """
    file = Path(folder)
    file = file / "prior.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise ScanpriorError(
            "there is no prior here: neither a file, nor a folder with prior.safetensors in it",
            hint='give the folder of a finished study\'s prior, e.g. scanprior.load_prior("results/mystudy/prior")',
        )
    try:
        with safe_open(str(file), framework="pt", device="cpu") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError):
        metadata, tensors = {}, {}
    if FORMAT not in metadata:
        raise ScanpriorError("this file is not a prior that scanprior wrote", hint="give the folder of a prior")
    structure = json.loads(metadata[FORMAT])
    if structure["version"] > FORMAT_VERSION:
        raise ScanpriorError(
            f"this prior has format version {structure['version']}; this scanprior reads up to {FORMAT_VERSION}",
            hint="install a newer scanprior",
        )
    prior = convolutional_prior.restore(structure) if structure.get("family") == FAMILY else _dense(structure)
    prior.load_state_dict(tensors)
    return prior.eval()


def _dense(structure: dict[str, Any]) -> Prior:
    """A dense prior of this structure, its tensors still to be loaded."""
    machines = [
        RBM(_units(layer["visible"]), _units(layer["hidden"]), centered=layer["centered"])
        for layer in structure["layers"]
    ]
    visible = structure["layers"][0]["visible"]["size"]
    return Prior(
        DBN(machines), mean=torch.zeros(visible), std=torch.ones(visible), patch_size=tuple(structure["patch_size"]),
        model=structure.get("model", "machines"),
    )  # fmt: skip


def model_card(facts: Mapping[str, Any]) -> str:
    """The model card in Markdown: what it is, what it saw, how it was trained, what it is and isn't for.

    Known keys of `facts` beside `patch_size` and `summary`: study, simulated, scope, patients, scans, patches, spacing, intensity,
    training (dict), measured (dict).
    """
    seen = {
        "disjoint": "patients without labels only; no patient whose labels are used for training or test",
        "inductive": "patients without labels and training patients; no test patient",
        "transductive": "ALL patients, test patients too (images only): its scores are marked in the report",
    }
    lines = [
        f"# Prior of the study {facts.get('study', '(unnamed)')}",
        "",
        facts["summary"],
        f"It takes patches of {_short(facts['patch_size'])} voxels and was trained without labels.",
        *(["**Its patients are simulated.**"] if facts.get("simulated") else []),
        "",
        "```python",
        "import scanprior",
        'prior = scanprior.load_prior("this folder")   # a torch.nn.Module',
        "features = prior.encode(patches)              # (n, visible), C order -> (n, top hidden)",
        "```",
        "",
        "## What it saw",
        *_listed(facts, ("patients", "scans", "patches", "spacing", "intensity")),
        *([f"- scope {facts['scope']}: {seen[facts['scope']]}"] if "scope" in facts else []),
        "",
        "## How it was trained",
        *_listed(facts.get("training", {})),
        "",
        "## What was measured",
        *(_listed(facts.get("measured", {})) or ["- nothing was recorded"]),
        "",
        "## Use and limits",
        "- Made to start networks that learn from few labels on scans prepared in the same way (spacing, intensity).",
        "- Not a medical device; no clinical claim follows from a good reconstruction.",
        "- Whether it helps on other scanners, sites or patients has to be tested there.",
        "- The weights derive from patients' images. They hold no identifier, but nobody has shown that no image could",
        "  be recovered from them: share them only as widely as the approval of the data allows.",
        "",
    ]
    return "\n".join(lines)


def _listed(facts: Mapping[str, Any], names: tuple[str, ...] | None = None) -> list[str]:
    chosen = [name for name in names if name in facts] if names is not None else sorted(facts)
    return [f"- {name.replace('_', ' ')}: {_short(facts[name])}" for name in chosen]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " x ".join(_short(item) for item in value) if isinstance(value, list | tuple) else str(value)


def _units(facts: Mapping[str, Any]) -> Units:
    return KINDS[facts["kind"]](facts["size"])


def _write(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)
