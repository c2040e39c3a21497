"""Learning to model the data and to name its class with the same hidden units.

The hybrid objective is log p(y | x) + a log p(x, y) (Larochelle & Bengio 2008, section 4; van Tulder & de Bruijne 2016 for
convolutional machines and lung CT). The machine's visible layer ends with label units (`scanprior.energy.joint`).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from typing_extensions import override

from scanprior.energy.joint import label_units
from scanprior.energy.objectives import CD, Objective
from scanprior.energy.rbm import RBM
from scanprior.energy.workspace import Workspace


class Hybrid(Objective):
    """log p(y | x), its gradient exactly, plus `generative` times log p(x, y), whose negative phase comes from `inner`.

    Rows of data are [x, one-hot y]. The gradient of log p(y | x) has the same positive phase as that of log p(x, y); its
    negative phase keeps x and takes the expectation over y, which costs one pass over the hidden units per class.

    Args:
        classes: number of label units.
        generative: weight a of the generative term; 0: only discriminative.
        inner: where the generative term's negative phase comes from; none: `CD(1)`.
    """

    def __init__(self, classes: int, *, generative: float = 0.1, inner: Objective | None = None) -> None:
        super().__init__()
        if classes < 2 or generative < 0:
            raise ValueError(
                f"a hybrid objective needs 2 classes and a weight of at least 0; got {classes}, {generative}"
            )
        self.classes, self.generative = classes, generative
        self.inner = inner or CD(1)
        self.k, self.persistent = self.inner.k, self.inner.persistent

    @override
    def negatives(self, batch: int) -> int:
        return self.inner.negatives(batch) + batch + self.classes

    @override
    def begin(self, rbm: RBM, generator: Generator) -> None:
        self.inner.begin(rbm, generator)

    @override
    def check(self, rbm: RBM) -> None:
        self.inner.check(rbm)
        found = label_units(rbm).n
        if found != self.classes:
            raise ValueError(f"the machine has {found} label units; this objective is for {self.classes} classes")

    @override
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        sampled = self.inner.negative(work, n, generator) if self.generative > 0 else 0
        first = n + sampled
        visible, hidden = work.visible[first : first + n], work.hidden[first : first + n]
        one_each_v = work.visible[first + n : first + n + self.classes]
        one_each_h = work.hidden[first + n : first + n + self.classes]

        # The data rows with all labels off, as the weights see them.
        visible.copy_(work.visible[:n])
        labels = visible[:, -self.classes :]
        labels.zero_()
        if work.rbm.centered:
            labels.sub_(work.rbm.visible_offset[-self.classes :])
        p, means = self._every_label(work.rbm, visible)
        hidden.copy_((p[:, :, None] * means).sum(1))

        # What a label's own weights get: its rows weigh differently, so that one row per label stands for them all.
        total = p.sum(0).clamp_min_(torch.finfo(p.dtype).tiny)
        one_each_v.zero_()
        one_each_v[:, -self.classes :] = torch.diag(total)
        one_each_h.copy_((p[:, :, None] * means).sum(0) / total[:, None])
        return sampled + n + self.classes

    def _every_label(self, rbm: RBM, shown: Tensor) -> tuple[Tensor, Tensor]:
        """p(y | x) (n, classes) and the hidden means given x and every y (n, classes, hidden)."""
        field = shown @ rbm.weight
        offset = rbm.hidden.scale(rbm.hidden_offset)
        fields = field[:, None, :] + rbm.weight[-self.classes :]
        scores = (
            rbm.hidden.log_partition(fields) - rbm.weight[-self.classes :] @ offset + rbm.visible.bias[-self.classes :]
        )
        return scores.softmax(1), rbm.hidden.mean(fields)

    @override
    def weigh_(self, work: Workspace, hidden: Tensor, n: int, negatives: int) -> tuple[Tensor, Tensor]:
        sampled = negatives - n - self.classes
        signs = hidden.new_ones(n + negatives)
        signs[:n] = 1.0 + self.generative
        signs[n : n + sampled] = -self.generative * n / max(sampled, 1)
        signs[n + sampled :] = -1.0
        counts = torch.ones_like(signs)
        counts[-self.classes :] = 0.0  # the labels' rows repeat hidden states that the data's rows have counted
        hidden.mul_(signs[:, None])
        return signs, counts
