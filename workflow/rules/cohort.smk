# Raw hospital files to prepared volumes: index, deidentify, convert, prepare.
rule index:
    output:
        **outputs("index"),
    log:
        f"logs/{study.name}/index.log",
    threads: 4
    params:
        **state("index"),
        listing=study.listing(),
    shell:
        command("index", "--workers {threads}")


rule deidentify:
    input:
        lambda w: reads("deidentify", shard=w.shard),
    output:
        **outputs("deidentify/shard-{shard}"),
    log:
        f"logs/{study.name}/deidentify-{{shard}}.log",
    priority: 5  # the longest of these; nothing that waits for it can run beside the last one
    resources:
        mem_mb=2000,
    params:
        **state("deidentify"),
    shell:
        command("deidentify", "--shard {wildcards.shard}")


rule convert:
    input:
        lambda w: reads("convert", shard=w.shard),
    output:
        **outputs("convert/shard-{shard}"),
    log:
        f"logs/{study.name}/convert-{{shard}}.log",
    params:
        **state("convert"),
    shell:
        command("convert", "--shard {wildcards.shard}")


rule prepare:
    input:
        lambda w: reads("prepare", shard=w.shard),
    output:
        **outputs("prepare/shard-{shard}"),
    log:
        f"logs/{study.name}/prepare-{{shard}}.log",
    params:
        **state("prepare"),
    shell:
        command("prepare", "--shard {wildcards.shard}")
