# What every rule shares: its outputs, its inputs, the digests it depends on, and the command it calls.
RESULTS = f"results/{study.name}"
PRIORS = {
    study.prior_name(**job): job for job in study.jobs("pretrain")
}  # folder name -> kind of prior and context


def outputs(folder):
    """Digests are what later stages depend on; the record also holds times and is read by the report alone."""
    return {
        "digests": f"{RESULTS}/{folder}/digests.json",
        "record": f"{RESULTS}/{folder}/record.json",
    }


def reads(stage, **wildcards):
    return [
        os.path.relpath(folder / "digests.json", study.house)
        for folder in study.inputs(stage, **wildcards)
    ]


def state(stage):
    """Rule parameters: keyed digests of code and settings, so that nothing private reaches .snakemake."""
    return study.state(stage)


def command(stage, options=""):
    """`exec`: the stage is a child of the engine itself and ends with it."""
    path = shlex.quote(str(study.path)).replace("{", "{{").replace("}", "}}")
    return f"exec scanprior stage {stage} {path} {options} > {{log}} 2>&1"


wildcard_constraints:
    shard=r"\d+",
    draw=r"\d+",
    arm=r"[a-z_]+",
    prior=r"prior(-[a-z_]+(-d\d+-f\d+)?(-way\d+)?)?",
