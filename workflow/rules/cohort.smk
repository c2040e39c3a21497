# Raw hospital files to prepared volumes: index, deidentify, convert, prepare.
rule index:
    output:
        **outputs("index"),
    params:
        **state("index"),
        listing=study.listing(),
    log:
        f"logs/{study.name}/index.log",
    shell:
        command("index")


rule deidentify:
    input:
        lambda w: reads("deidentify", shard=w.shard),
    output:
        **outputs("deidentify/shard-{shard}"),
    params:
        **state("deidentify"),
    log:
        f"logs/{study.name}/deidentify-{{shard}}.log",
    resources:
        mem_mb=2000,
    shell:
        command("deidentify", "--shard {wildcards.shard}")


rule convert:
    input:
        lambda w: reads("convert", shard=w.shard),
    output:
        **outputs("convert/shard-{shard}"),
    params:
        **state("convert"),
    log:
        f"logs/{study.name}/convert-{{shard}}.log",
    shell:
        command("convert", "--shard {wildcards.shard}")


rule prepare:
    input:
        lambda w: reads("prepare", shard=w.shard),
    output:
        **outputs("prepare/shard-{shard}"),
    params:
        **state("prepare"),
    log:
        f"logs/{study.name}/prepare-{{shard}}.log",
    shell:
        command("prepare", "--shard {wildcards.shard}")
