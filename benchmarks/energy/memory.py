"""Peak memory of training beyond the data and the parameters: `python benchmarks/energy/memory.py`.

For every way of training, processes of their own on 10,000 and on 40,000 rows of 2197 floats (84 and 335 MiB), mini-batches of
100 (0.8 MiB): how far the peak of the process rises above what it held with data and machine in memory. Target of the project's
issue 8: a few mini-batches, not a copy of the data. Printed in MiB and in mini-batches; what grows with the rows would
be a copy. torch keeps some scratch of its own: the first product of a process is made before the count begins.
"""

from __future__ import annotations

import subprocess
import sys

COLUMNS, BATCH, ROWS = 2197, 100, (10_000, 40_000)
WAYS = {
    "fit_rbm, Bernoulli": "fit_rbm(RBM(Bernoulli(2197), Bernoulli(600)), data, **how)",
    "fit_rbm, Gaussian-Bernoulli": "fit_rbm(RBM(Gaussian(2197), Bernoulli(600)), data, **how)",
    "fit_rbm, Gaussian, rectified": "fit_rbm(RBM(Gaussian(2197), ReLU(600)), data, **how)",
    "fit_convolutional, 16 maps": "fit_convolutional(ConvolutionalRBM(Gaussian(1), ReLU(16), size=(13,) * 3, kernel=(5,) * 3, "
    "stride=(2,) * 3), data.view(-1, 1, 13, 13, 13), **how)",
    "pretrain, under Lightning": "pretrain(lambda rows: data[rows], len(data), patch_size=(13, 13, 13), seeds=lambda *names: 1, "
    "work=Path(tempfile.mkdtemp()), layers=(600,), epochs=1, batch_size=100)",
}
CODE = """
import resource, sys, tempfile
from pathlib import Path
import torch
from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import fit_convolutional
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
from scanprior.learning.pretraining import pretrain
torch.set_num_threads(1)
how = dict(epochs=1, generator=torch.Generator().manual_seed(0), batch_size=100)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for rows in (200, int(sys.argv[1])):
    data = torch.rand(rows, 2197)
    before = peak()
    {way}
print(peak() - before)
"""


def extra(way: str, rows: int) -> float:
    """MiB that a process holds at its peak beside the data."""
    code = CODE.replace("{way}", way)
    said = subprocess.run([sys.executable, "-c", code, str(rows)], capture_output=True, text=True, check=True)
    return float(said.stdout)


def main() -> None:
    """Measure every way at both sizes."""
    one = BATCH * COLUMNS * 4 / 2**20
    print(
        f"{'training':32s}" + "".join(f"{f'beside {rows * COLUMNS * 4 / 2**20:.0f} MiB of data':>38s}" for rows in ROWS)
    )
    for name, way in WAYS.items():
        found = [extra(way, rows) for rows in ROWS]
        print(
            f"{name:32s}" + "".join(f"{f'{mib:.1f} MiB, {mib / one:.0f} mini-batches':>38s}" for mib in found),
            flush=True,
        )


if __name__ == "__main__":
    main()
