"""Arms by name. One more arm: one file in arms/, one case here, one line in the catalogue."""

from __future__ import annotations

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Arm, Setup
from scanprior.learning.catalogue import ARMS, stem


def make_arm(name: str, setup: Setup) -> Arm:
    """The arm called `name`; its module is imported here, so that arms without a network load no network library.

    Raises:
        ScanpriorError: there is no such arm, or it starts from a prior and there is none.
    """
    match stem(name):  # dbn_bernoulli is dbn with that hidden kind; the caller's Setup says it
        case "dbn" | "autoencoder" | "shuffled_prior":  # the same fine-tuning of another prior
            from scanprior.learning.arms import dbn

            return dbn.arm(setup)
        case "scratch":
            from scanprior.learning.arms import scratch

            return scratch.arm(setup)
        case "mlp":
            from scanprior.learning.arms import mlp

            return mlp.arm(setup)
        case "cnn":
            from scanprior.learning.arms import cnn

            return cnn.arm(setup)
        case "logistic":
            from scanprior.learning.arms import logistic

            return logistic.arm(setup)
        case "pca_logistic":
            from scanprior.learning.arms import pca_logistic

            return pca_logistic.arm(setup)
        case "moments":
            from scanprior.learning.arms import moments

            return moments.arm(setup)
        case "random_features":
            from scanprior.learning.arms import random_features

            return random_features.arm(setup)
        case "covariates":
            from scanprior.learning.arms import covariates

            return covariates.arm(setup)
        case "position_only":
            from scanprior.learning.arms import position_only

            return position_only.arm(setup)
        case "conv_dbn" | "conv_dbn_placed" | "conv_autoencoder":  # the same fine-tuning of another prior
            from scanprior.learning.arms import conv_dbn

            return conv_dbn.arm(setup)
        case _:
            raise ScanpriorError(f"there is no arm {name!r}", hint=f"arms: {', '.join(ARMS)}")
