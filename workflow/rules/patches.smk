# Positions of patches in the prepared volumes, and the split of patients.
rule split:
    input:
        reads("split"),
    output:
        **outputs("split"),
    log:
        f"logs/{study.name}/split.log",
    params:
        **state("split"),
    shell:
        command("split")


rule patches:
    input:
        reads("patches"),
    output:
        **outputs("patches"),
    log:
        f"logs/{study.name}/patches.log",
    params:
        **state("patches"),
    shell:
        command("patches")
