# The pipeline: raw scans to a report with a verdict. `snakemake --configfile config/STUDY.yaml --cores 2`, or `scanprior run`.
import os
import shlex
import sys

from snakemake.utils import min_version

from scanprior import engine
from scanprior.learning.catalogue import CANARY, CATALOGUE
from scanprior.pipeline import job_name
from scanprior.study import Study

min_version("9.0")
if not workflow.configfiles:
    raise WorkflowError(
        "name a study: snakemake --configfile config/demo.yaml --cores 2"
    )

study = Study.load(os.path.relpath(workflow.configfiles[-1]))
# The stages run as `scanprior stage …` of the environment that snakemake itself runs in.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]


include: "workflow/rules/common.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evidence.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        f"results/{study.name}/report.html",
        f"results/{study.name}/verdict.json",


onstart:
    engine.begin(study)


onsuccess:
    engine.end()


onerror:
    engine.end()
    engine.print_failures(study)
