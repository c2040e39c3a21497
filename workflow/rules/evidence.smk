# The verdict and the report.
rule evaluate:
    input:
        reads("evaluate"),
    output:
        **outputs("evaluate"),
        verdict=f"{RESULTS}/verdict.json",
    params:
        **state("evaluate"),
    log:
        f"logs/{study.name}/evaluate.log",
    shell:
        command("evaluate")


rule report:
    input:
        reads("report"),
        f"{RESULTS}/verdict.json",
    output:
        **outputs("report"),
        page=f"{RESULTS}/report.html",
    params:
        **state("report"),
    log:
        f"logs/{study.name}/report.log",
    shell:
        command("report")
