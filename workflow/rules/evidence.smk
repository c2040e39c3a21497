# The verdict and the report.
rule evaluate:
    input:
        reads("evaluate"),
    output:
        **outputs("evaluate"),
        verdict=f"{RESULTS}/verdict.json",
    log:
        f"logs/{study.name}/evaluate.log",
    params:
        **state("evaluate"),
    shell:
        command("evaluate")


rule report:
    input:
        reads("report"),
        f"{RESULTS}/verdict.json",
    output:
        **outputs("report"),
        page=f"{RESULTS}/report.html",
    log:
        f"logs/{study.name}/report.log",
    params:
        **state("report"),
    shell:
        command("report")
