# Positions of patches in the prepared volumes, and the split of patients.
rule split:
    input:
        reads("split"),
    output:
        **outputs("split"),
    params:
        **state("split"),
    log:
        f"logs/{study.name}/split.log",
    shell:
        command("split")


rule patches:
    input:
        reads("patches"),
    output:
        **outputs("patches"),
    params:
        **state("patches"),
    log:
        f"logs/{study.name}/patches.log",
    shell:
        command("patches")
