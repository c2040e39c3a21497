# The prior, and every arm on every draw.
rule pretrain:
    input:
        lambda w: reads("pretrain", **PRIORS[w.prior]),
    output:
        **outputs("{prior}"),
    log:
        f"logs/{study.name}/{{prior}}.log",
    priority: 10  # the longest jobs first
    resources:
        mem_mb=4000,
        gpu=engine.gpus(study),
    params:
        **state("pretrain"),
        job=lambda w: "--kind {kind} --context {context}".format(**PRIORS[w.prior]),
    shell:
        command("pretrain", "{params.job}")


rule train:
    input:
        lambda w: reads("train", arm=w.arm, draw=w.draw),
    output:
        **outputs("train/{arm}/draw-{draw}"),
    log:
        f"logs/{study.name}/train-{{arm}}-{{draw}}.log",
    resources:
        mem_mb=3000,
        gpu=engine.gpus(study),
    params:
        **state("train"),
    shell:
        command("train", "--arm {wildcards.arm} --draw {wildcards.draw}")
