"""The study file as frozen models: the only place for defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from scanprior.learning import catalogue
from scanprior.learning.catalogue import CANARIES, CATALOGUE, MACHINES, ArmName, CanaryName, Hidden, PriorKind
from scanprior.prior_config import PriorConfig
from scanprior.section import Section

NAME = r"^[a-z0-9][a-z0-9_-]{0,40}$"
Side = Annotated[float, Field(gt=0)]  # mm
Triple = tuple[Side, Side, Side]
Size = tuple[int, int, int]


class Columns(Section):
    """Names of the columns in the label table and in the patient table."""

    patient: str = Field("patient", description="column with the hospital's patient id (label table and patient table)")
    label: str = Field("label", description="column with the class of the patient (patient task)")
    scan: str = Field("scan", description="column of the patient table with the scan's file stem")
    site: str | None = Field(None, description="column with the centre; coded A, B, … before anything is written")
    age: str | None = Field(None, description="column with the age in years, where headers don't say")
    sex: str | None = Field(None, description="column with the sex, where headers don't say")
    split: str | None = Field(None, description="column with a given split: train, val, test or pool (scheme: given)")
    covariates: tuple[str, ...] = Field((), description="further columns, numeric, for covariate models")


class Cohort(Section):
    """Where the scans and labels are, and how they belong together."""

    scans: str = Field(description="folder with any tree of DICOM, NIfTI or BIDS; ${VARIABLES} are expanded")
    select: dict[str, str] = Field(
        default_factory=dict, description="which series per patient, e.g. {series: T1}: part of its description or name"
    )
    labels: str | None = Field(
        None, description="CSV or XLSX, one row per patient; without a row a patient is unlabelled"
    )
    columns: Columns = Columns()  # pyright: ignore[reportCallIssue]
    label_maps: str | None = Field(None, description="folder of label maps with the scans' stems (voxel task)")
    patients: str | None = Field(None, description="CSV from scan stem to patient, where headers don't say")
    together: tuple[tuple[str, ...], ...] = Field(
        (), description="groups of patient ids that may be one person: always on one side of a split"
    )
    limit: int | None = Field(
        None, ge=4, description="use only so many patients (the first by voxel digest); for trying out"
    )
    simulated: bool = Field(False, description="true when the patients are invented; the report says so")


class PatientTask(Section):
    """A label per patient; the arms pool patch logits by log-mean-exp."""

    kind: Literal["patient"]
    positive: str | None = Field(None, description="the class that counts as positive (two classes)")


class VoxelTask(Section):
    """A label map per scan; patch class = class of the centre voxel, then dense prediction."""

    kind: Literal["voxel"]
    classes: dict[int, str] = Field(description="label value to name, background 0 left out", min_length=1)
    region_dilation: int = Field(
        3,
        ge=0,
        description="dense prediction only within so many voxels of the union of four training label maps; "
        "one voxel less for every doubling of the maps, one more for every halving",
    )


class Privacy(Section):
    """De-identification (PS3.15 profile, faces, burned-in text)."""

    profile: Literal["basic", "research"] = "research"
    faces: Literal["auto", "remove", "keep"] = "auto"
    text: Literal["auto", "remove", "keep"] = "auto"
    key: Literal["own", "public"] = Field(
        "own", description="own: a secret key under private/, made on first use; public: for simulated cohorts only"
    )


class Prepare(Section):
    """Resampling and intensity."""

    spacing: Triple = Field((1.0, 1.0, 1.0), description="voxel size in mm after resampling")
    intensity: Literal["zscore", "robust", "none"] = Field(
        "zscore", description="zscore inside the body mask; robust: 1st–99th percentile to [-1, 1]; none: as stored"
    )


class Patches(Section):
    """Where patches are taken."""

    size: Size = Field((13, 13, 13), description="voxels per side, odd")
    per_scan: int = Field(400, ge=8)

    @model_validator(mode="after")
    def _odd(self) -> Patches:
        if any(side < 3 or side % 2 == 0 for side in self.size):
            raise ValueError(
                "size: every side must be an odd number of voxels, 3 or more, so that a patch has a centre"
            )
        return self


class Evaluation(Section):
    """Who is tested, with how many labels, how often, and what difference matters."""

    scheme: Literal["cv", "holdout", "given", "sites"] = Field(
        "cv", description="sites: every site is tested in turn by models that no label of it has reached"
    )
    folds: int = Field(3, ge=2, description="cv: folds of each repeat")
    test: int | None = Field(None, ge=2, description="holdout: so many test patients that no arm and no prior sees")
    pool: int = Field(
        0, ge=0, description="labelled patients whose labels are put aside to play the unlabelled archive"
    )
    budgets: tuple[int, ...] = Field(
        (8, 16, 24), min_length=1, description="labelled patients an arm may use, validation included"
    )
    draws: int = Field(
        5, ge=1, description="seeded choices of labelled patients (cv: repeats); with one there is no verdict"
    )
    metric: Literal["auc", "log_loss", "brier", "accuracy", "dice"] | None = Field(
        None, description="default: dice for voxel tasks, auc for patient tasks"
    )
    margin: float = Field(0.02, gt=0, description="the smallest difference that would matter, declared beforehand")
    canaries: tuple[CanaryName, ...] = Field(
        tuple(CANARIES),
        description="runs whose right answer is known; border is for patient tasks and left out of others",
    )
    trials: int = Field(4, ge=1, description="settings each arm may try on its validation patients")
    epochs: int = Field(
        6, ge=1, description="epochs of 40 mini-batches that every network is trained for; the best is kept"
    )
    level: float = Field(0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> Evaluation:
        if list(self.budgets) != sorted(set(self.budgets)) or (self.budgets and self.budgets[0] < 2):
            raise ValueError("budgets: must rise, each at least 2, because a budget counts the validation patient too")
        if self.scheme == "holdout" and self.test is None:
            raise ValueError("test: scheme holdout needs the number of test patients")
        return self


class Engine(Section):
    """How the work is cut; changes no result."""

    shards: int = Field(4, ge=1, le=999, description="jobs that the scans are shared out to")
    draws_per_job: int = Field(
        1,
        ge=1,
        description="draws of an arm that one job trains: more spare start-up, 1 uses most machines; a change trains again",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"


class StudyConfig(Section):
    """One study file."""

    study: str = Field(pattern=NAME, description="name of the study and of its folder under results/")
    seed: int = Field(0, ge=0)
    quick: bool = Field(False, description="true: a try-out; the report says that it is not for claims")
    cohort: Cohort
    task: Annotated[PatientTask | VoxelTask, Field(discriminator="kind")]
    privacy: Privacy = Privacy()  # pyright: ignore[reportCallIssue]
    prepare: Prepare = Prepare()  # pyright: ignore[reportCallIssue]
    patches: Patches = Patches()  # pyright: ignore[reportCallIssue]
    prior: PriorConfig = PriorConfig()  # pyright: ignore[reportCallIssue]
    arms: tuple[ArmName, ...] = Field(("dbn", "scratch", "mlp", "cnn", "logistic", "pca_logistic"), min_length=1)
    evaluation: Evaluation = Evaluation()  # pyright: ignore[reportCallIssue]
    engine: Engine = Engine()  # pyright: ignore[reportCallIssue]

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        problems: list[str] = []
        voxel = self.task.kind == "voxel"
        if voxel and self.cohort.label_maps is None:
            problems.append("cohort.label_maps: a voxel task needs the folder of label maps")
        if not voxel and self.cohort.labels is None:
            problems.append("cohort.labels: a patient task needs the label table")
        if self.evaluation.metric is not None and voxel != (self.evaluation.metric == "dice"):
            allowed = "dice" if voxel else "auc, log_loss, brier, accuracy"
            problems.append(f"evaluation.metric: a {self.task.kind} task allows {allowed}")
        if self.evaluation.scheme == "given" and self.cohort.columns.split is None:
            problems.append("cohort.columns.split: scheme given needs the column that says train, val, test or pool")
        if self.evaluation.scheme == "sites" and self.cohort.columns.site is None:
            problems.append("cohort.columns.site: scheme sites needs the column that names the centre")
        if self.evaluation.scheme == "sites" and self.prior.scope == "inductive":
            problems.append("prior.scope: scheme sites allows disjoint and transductive; inductive needs cv or holdout")
        if self.privacy.key == "public" and not self.cohort.simulated:
            problems.append("privacy.key: public is for simulated cohorts only (cohort.simulated: true); use own")
        problems += self._untrainable()
        for arm in self.arms:
            if self.task.kind not in CATALOGUE[arm].tasks:
                problems.append(
                    f"arms: {arm} is for {' and '.join(CATALOGUE[arm].tasks)} tasks; this is a {self.task.kind} task"
                )
        if len(set(self.arms)) != len(self.arms):
            problems.append("arms: one arm is named twice")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def metric(self) -> str:
        """The declared metric, or the task's default."""
        return self.evaluation.metric or ("dice" if self.task.kind == "voxel" else "auc")

    def hidden_of(self, arm: ArmName) -> Hidden:
        """The hidden kind whose network `arm` uses: its suffix, or the prior's."""
        return catalogue.hidden_of(arm, self.prior.hidden)

    def prior_of(self, arm: ArmName) -> PriorKind | None:
        """The kind of prior that `arm` starts from, if any."""
        return catalogue.prior_of(arm, self.prior.hidden)

    def ways_of(self, kind: PriorKind) -> list[int]:
        """The ways in which a prior of a kind is trained, 0 first: of those that come to the same, the first."""
        found: dict[tuple[Any, ...], int] = {}
        for number in range(1 + len(self.prior.ways)):
            way = self.prior.way(number)
            of_machines = (way.objective, way.centered, way.learning_rate, way.sparsity) if kind in MACHINES else ()
            found.setdefault((way.epochs, way.batch_size, *of_machines), number)
        return list(found.values())

    def partner_of(self, arm: ArmName) -> ArmName | None:
        """The arm with the same network and no prior that `arm` is compared with."""
        return catalogue.partner_of(arm, self.arms, self.prior.hidden)

    @property
    def canaries(self) -> tuple[CanaryName, ...]:
        """The canaries that this study's task allows."""
        return tuple(name for name in self.evaluation.canaries if self.task.kind in CANARIES[name][1])

    def _untrainable(self) -> list[str]:
        """One sentence for each reason why the machines of some arm's prior can't be trained as the study wants."""
        reasons: dict[str, list[ArmName]] = {}
        for arm in self.arms:
            kind = self.prior_of(arm)
            if kind in MACHINES:
                hidden = catalogue.hidden_of_machines(kind, self.prior.hidden)
                for number in self.ways_of(kind):
                    where = f"prior.ways, number {number}, " if number else "prior."
                    for field, reason in self.prior.way(number).refusals(hidden).items():
                        reasons.setdefault(f"{where}{field}: {reason}", []).append(arm)
        return [f"{reason} (arms: {', '.join(arms)})" for reason, arms in reasons.items()]

    def public(self) -> dict[str, Any]:
        """The resolved study without what may name a hospital: paths, series names and patient ids."""
        plain = self.model_dump(mode="json")
        cohort = plain["cohort"]
        for key in ("scans", "labels", "label_maps", "patients", "together", "select", "columns"):
            cohort[key] = "private" if cohort[key] else None
        return plain
