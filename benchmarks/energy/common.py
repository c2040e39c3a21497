"""What the MNIST benchmarks share: the digits, training that can be stopped and goes on, and the record of a result."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.dbn import DBN
from scanprior.energy.finetune import FineTuner
from scanprior.energy.objectives import CD
from scanprior.energy.products import require_bfloat16
from scanprior.energy.rbm import RBM
from scanprior.energy.step import DEFAULT, Schedule, Stepper, safe_learning_rate
from scanprior.energy.training import blocks
from scanprior.energy.units import Bernoulli, Units

ROOT = Path(__file__).parents[1]
WORK = ROOT / "work"
RESULTS = ROOT / "results"
SECONDS_BETWEEN_CHECKPOINTS = 30.0


def digits(split: str) -> tuple[Tensor, Tensor]:
    """Pixels (n, 784) in [0, 1] and labels (n,) of "train" (60,000) or "t10k" (10,000), from SCANPRIOR_DATA/mnist."""
    folder = Path(os.environ["SCANPRIOR_DATA"]) / "mnist"
    pixels = gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(-1, 784).float() / 255
    return images, torch.frombuffer(bytearray(labels), dtype=torch.uint8).long()


def binary(pixels: Tensor) -> Tensor:
    """Pixels of at least one half count as on; the log likelihoods here are of these bits."""
    return (pixels >= 0.5).float()


def train(
    stepper: Stepper, data: Tensor, *, epochs: int, file: Path, tell: Callable[[int], None] | None = None
) -> dict[str, float]:
    """Train for `epochs`, going on from `file` where there is one; seconds of processor and of clock, over all sessions."""
    done, spent = 0, {"processor": 0.0, "clock": 0.0}
    if file.exists():
        saved = torch.load(file, weights_only=True)
        stepper.load_state_dict(saved["stepper"])
        done, spent = saved["epochs"], saved["spent"]
    file.parent.mkdir(parents=True, exist_ok=True)
    last = time.perf_counter()
    for epoch in range(done, epochs):
        used, began = time.process_time(), time.perf_counter()
        order = torch.randperm(len(data), generator=Generator().manual_seed(1000 * stepper.seed + epoch))
        for rows in blocks(order, stepper.batch_size):
            stepper.block(data, rows)
        spent["processor"] += time.process_time() - used
        spent["clock"] += time.perf_counter() - began
        if tell is not None:
            tell(epoch + 1)
        if epoch + 1 == epochs or time.perf_counter() - last > SECONDS_BETWEEN_CHECKPOINTS:
            replace(file, {"stepper": stepper.state_dict(), "epochs": epoch + 1, "spent": spent})
            last = time.perf_counter()
    return spent


def stack(
    sizes: list[int], top: type[Units], data: Tensor, *, epochs: int, folder: Path, seed: int,
    schedule: Schedule = DEFAULT,
) -> tuple[DBN, float]:  # fmt: skip
    """Bernoulli machines on `data` (n, sizes[0]) by CD-1, layer by layer, the last hidden ones `top`; processor seconds."""
    machines: list[RBM] = []
    seconds = 0.0
    for number, (below, above) in enumerate(pairwise(sizes), start=1):
        hidden = top(above) if number == len(sizes) - 1 else Bernoulli(above)
        rbm = RBM(Bernoulli(below), hidden, generator=Generator().manual_seed(seed + number))
        file = folder / f"layer-{number}.pt"
        rate = safe_learning_rate(rbm, data[:10_000], batch_size=100)
        rbm.start_from(data.mean(0), data.var(0))
        stepper = Stepper(
            rbm, CD(1), batch_size=100, steps=epochs * len(data) // 100, seed=seed + number, learning_rate=rate,
            schedule=schedule, bfloat16=bf16_here(),
        )  # fmt: skip
        seconds += train(stepper, data, epochs=epochs, file=file)["processor"]
        machines.append(rbm)
        with torch.no_grad():
            data = torch.cat([DBN([rbm]).encode(chunk) for chunk in data.split(5000)])
        print(f"layer {number} of {len(sizes) - 1}, {time.strftime('%H:%M:%S')}", flush=True)
    return DBN(machines), seconds


def tune(tuner: FineTuner, inputs: Tensor, targets: Tensor, file: Path) -> float:
    """Run `tuner` to its last epoch, going on from `file` where there is one; processor seconds over all sessions."""
    seconds = 0.0
    if file.exists():
        saved = torch.load(file, weights_only=True)
        tuner.load_state_dict(saved["tuner"])
        seconds = saved["seconds"]
    last = time.perf_counter()
    while tuner.done < tuner.epochs:
        used = time.process_time()
        loss = tuner.epoch(inputs, targets)
        seconds += time.process_time() - used
        if tuner.done == tuner.epochs or time.perf_counter() - last > SECONDS_BETWEEN_CHECKPOINTS:
            replace(file, {"tuner": tuner.state_dict(), "seconds": seconds})
            last = time.perf_counter()
            print(f"epoch {tuner.done} of {tuner.epochs}: {loss:.4f}, {time.strftime('%H:%M:%S')}", flush=True)
    return seconds


@torch.no_grad()
def right(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of the images named right."""
    network.eval()
    return float(torch.cat([network(rows).argmax(1) for rows in images.split(5000)]).eq(labels).float().mean())


def once(file: Path, make: Callable[[], Any]) -> Any:
    """What `make` returned when it was first asked, kept in `file`."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, make())
    return torch.load(file, weights_only=True)


def replace(file: Path, content: object) -> None:
    """Write whole or not at all."""
    part = file.with_suffix(".part")
    torch.save(content, part)
    part.replace(file)


def record(name: str, *, settings: dict[str, Any], figures: dict[str, Any], targets: dict[str, Any]) -> None:
    """Print the result and keep it, with machine and date, in benchmarks/results/NAME.json."""
    result = {
        "benchmark": name, "date": datetime.now(UTC).date().isoformat(), "machine": machine(),
        "settings": settings, "figures": figures, "targets": targets,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text, flush=True)


def bf16_here() -> bool:
    """Whether this processor makes products in bfloat16."""
    try:
        require_bfloat16(torch.device("cpu"))
    except ValueError:
        return False
    return True


def machine() -> dict[str, Any]:
    """The processor and the versions that made the numbers."""
    about = torch.cpu.get_capabilities()
    return {
        "processor": about["cpu_name"], "cores": about["num_logical_cores"], "threads": torch.get_num_threads(),
        "avx512_bf16": about.get("avx512_bf16", False), "amx_bf16": about.get("amx_bf16", False),
        "torch": torch.__version__,
    }  # fmt: skip
