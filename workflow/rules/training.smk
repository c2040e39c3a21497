# The prior, and every arm on every draw.
rule pretrain:
    input:
        lambda w: reads("pretrain", **PRIORS[w.prior]),
    output:
        **outputs("{prior}"),
    log:
        f"logs/{study.name}/{{prior}}.log",
    priority: 10  # others wait for it
    resources:
        mem_mb=4000,
        gpu=engine.gpus(study),
    params:
        **state("pretrain"),
        job=lambda w: "--kind {kind} --context {context} --way {way}".format(
            **PRIORS[w.prior]
        ),
    shell:
        command("pretrain", "{params.job}")


TOGETHER = study.config.engine.draws_per_job
DRAWS = list(range(study.config.evaluation.draws))


def weight(arm):
    """Long jobs first, so that none runs alone at the end: small convolutions, other networks, the rest, canaries."""
    if arm not in CATALOGUE:
        return 0
    return 1 + CATALOGUE[arm].network + ("cnn" in (arm, CATALOGUE[arm].partner))


rule train:
    input:
        lambda w: reads("train", arm=w.arm, draw=w.draw),
    output:
        **outputs("train/{arm}/draw-{draw}"),
    log:
        f"logs/{study.name}/train-{{arm}}-{{draw}}.log",
    wildcard_constraints:
        arm="[a-z_]+" if TOGETHER == 1 else CANARY + "[a-z_]+",
    priority: lambda w: weight(w.arm)
    resources:
        mem_mb=3000,
        gpu=engine.gpus(study),
    params:
        **state("train"),
    shell:
        command("train", "--arm {wildcards.arm} --draw {wildcards.draw}")


# Small studies: several draws of an arm in one job, because starting a process takes seconds.
for draws in [
    DRAWS[start : start + TOGETHER]
    for start in range(0, len(DRAWS), TOGETHER)
    if TOGETHER > 1
]:

    rule:
        name:
            f"train_{draws[0]}_to_{draws[-1]}"
        input:
            lambda w, draws=draws: sorted(
                {
                    place
                    for draw in draws
                    for place in reads("train", arm=w.arm, draw=draw)
                }
            ),
        output:
            [
                place
                for draw in draws
                for place in outputs(f"train/{{arm}}/draw-{draw}").values()
            ],
        log:
            f"logs/{study.name}/train-{{arm}}-{draws[0]}-to-{draws[-1]}.log",
        wildcard_constraints:
            arm="|".join(study.config.arms),
        priority: lambda w: weight(w.arm)
        resources:
            mem_mb=3000,
            gpu=engine.gpus(study),
        params:
            **state("train"),
        shell:
            command(
                "train",
                "--arm {wildcards.arm} "
                + " ".join(f"--draw {draw}" for draw in draws),
            )
