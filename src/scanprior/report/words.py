"""The report's sentences; none says more than its interval does."""

from __future__ import annotations

import math
from typing import NamedTuple

from scanprior.report.annex import Sites
from scanprior.report.content import Deidentification, Difference, Multiplier, ReportContent, Study, Verdict
from scanprior.report.numbers import averaged_over, count, decimals, listed, metric_name, percent, score, signed, times

ARMS = {
    "dbn": "the network started from the prior",
    "scratch": "the same network from a random start, same schedule",
    "mlp": "a plain rectified network, tuned for itself",
    "cnn": "a small 3-D convolutional network",
    "logistic": "logistic regression on the voxels",
    "pca_logistic": "logistic regression on principal components",
    "autoencoder": "the same network started from a stacked denoising autoencoder",
    "shuffled_prior": "control: the same network started from a prior of patches whose voxels were shuffled",
    "moments": "control: the same network from a random start with the mean and variance of the prior's weights",
    "random_features": "control: the same network frozen at its random start, logistic regression on its features",
    "covariates": "control: age, sex, scanner, site and the study's covariates alone, no image",
    "conv_dbn": "the small 3-D convolutional network started from a stack of convolutional machines",
    "conv_dbn_placed": "the same from a stack that then learned where in its scan a patch lies",
    "conv_autoencoder": "the small 3-D convolutional network started from a convolutional denoising autoencoder",
    "position_only": "control: the place of a patch alone, no voxel",
}
KINDS = {"rectified": "noisy rectified hidden units", "bernoulli": "Bernoulli hidden units"}
SCOPES = {
    "disjoint": "the prior saw patients without labels only; nobody who lends labels or is tested was among them",
    "inductive": "the prior saw patients without labels and the training patients; no tested patient was among them",
    "transductive": "the prior saw the images of all patients, the tested ones too (never a label)",
}
OUTCOMES = {
    "helps": ("Pretraining helps", "▲"),
    "harms": ("Pretraining harms", "▼"),
    "equivalent": ("Pretraining makes no difference that matters", "="),
    "inconclusive": ("Inconclusive", "?"),
}


class Opening(NamedTuple):
    """The first lines of the page."""

    kind: str  # helps, harms, equivalent, inconclusive or none: chooses the colour
    sign: str  # the same as a shape, for those who don't see the colour
    claim: str
    facts: str
    plain: str
    labels: str


def describe_arm(arm: str) -> str:
    """What an arm is, in words; a suffix names the kind of its hidden units."""
    stem, _, kind = arm.rpartition("_")
    if kind in KINDS and stem in ARMS:
        return f"{ARMS[stem]}, {KINDS[kind]}"
    return ARMS.get(arm, "")


def is_control(arm: str) -> bool:
    """Whether an arm only shows what else could explain a gain."""
    return describe_arm(arm).startswith("control:")


def opening(content: ReportContent) -> Opening:
    """Verdict sentence, its plain second sentence and the sentence on labels saved; a failed check comes instead of them."""
    failed = [check.sentence for check in content.checks if check.passed is False]
    if failed:
        said = f"a check that must hold in any study has failed. {' '.join(failed)}"
        plainly = (
            "Until the cause is found, no difference on this page may be used; the figures below are there to find it."
        )
        return Opening("none", "!", "No verdict", said, plainly, "")
    verdict = content.verdict
    if verdict is None or verdict.outcome == "stopped":
        reason = content.no_verdict or "The evaluation has left no primary comparison, so nothing can be said yet."
        return Opening("none", "–", "No verdict", reason, "What the study has made so far stands below.", "")
    claim, sign = OUTCOMES[verdict.outcome]
    known = math.isfinite(verdict.primary.low) and math.isfinite(verdict.primary.high)
    decide = f"; {needed(verdict)}" if verdict.outcome == "inconclusive" and known else ""
    labels = multiplier(verdict.multiplier, verdict.level, verdict.primary)
    facts = f"{_facts(content.study, verdict)}{decide}."
    return Opening(verdict.outcome, sign, claim, facts, plain(content.study, verdict), labels)


def _facts(study: Study, verdict: Verdict) -> str:
    """The interval first: the estimate alone would say more than the data do."""
    primary, name = verdict.primary, metric_name(study.metric)
    draws = f"{verdict.draws} draw{'s' if verdict.draws != 1 else ''}"
    tested = f"{count(verdict.patients)} patients tested, {draws}"
    if not math.isfinite(primary.low) or not math.isfinite(primary.high):
        cause = f" ({verdict.note})" if verdict.note else ""
        return f"there is no interval for the difference in {name} between prior and random start{cause}; {tested}"
    places = decimals(verdict.margin, primary.low, primary.high)
    low, high = signed(primary.low, places), signed(primary.high, places)
    interval = f"{percent(verdict.level)} interval {low} to {high}, estimate {signed(primary.delta, places)}"
    margin = f"declared margin {score(verdict.margin, places)}"
    averaged = f"{averaged_over(study.budgets)}; {tested}"
    match verdict.outcome:
        case "helps" | "harms":
            side = "higher" if verdict.outcome == "helps" else "lower"
            said = f"with the prior, {name} is {side} than from a random start ({interval}; {margin})"
        case "equivalent":
            said = f"the difference in {name} between prior and random start lies within the {margin} ({interval})"
        case "inconclusive" | "stopped":
            said = (
                f"the difference in {name} between prior and random start may be anything from {low} to {high} "
                f"({percent(verdict.level)} interval; estimate {signed(primary.delta, places)}; {margin})"
            )
    return f"{said}, {averaged}"


def needed(verdict: Verdict) -> str:
    """What would decide an open verdict: tested patients, and draws where more of them are needed."""
    patients, draws = verdict.patients_needed, verdict.draws_needed or verdict.draws
    if patients is None:
        return "more tested patients and draws would hardly decide it"
    more = f"{draws} draws instead of {verdict.draws}"
    if draws <= verdict.draws:
        with_these = f"with {'these' if draws > 1 else 'this'} {draws} draw{'s' if draws > 1 else ''}"
        return f"about {count(patients)} tested patients, {with_these}, would probably decide it"
    if patients <= verdict.patients:
        return f"{more} would probably decide it, with the same patients"
    return f"about {count(patients)} tested patients and {more} would probably decide it"


def plain(study: Study, verdict: Verdict) -> str:
    """The verdict for a reader without statistics, no stronger than the interval."""
    low, high, margin = verdict.primary.low, verdict.primary.high, verdict.margin
    learner = "a network that first learned from unlabelled scans"
    whose = "invented patients" if study.simulated else "patients like these"
    match verdict.outcome:
        case "helps":
            size = (
                "and the gain is at least as large as the margin that was said to matter"
                if low >= margin
                else "but the gain may be smaller than the margin that was said to matter"
            )
            return f"For {whose}, {learner} does better on new patients, {size}."
        case "harms":
            return f"For {whose}, {learner} does worse on new patients: start it at random."
        case "equivalent":
            real = "Any difference is smaller than what was said to matter"
            if low > 0 or high < 0:
                real = "The difference is real, but smaller than what was said to matter"
            return f"{real}: for {whose} a random start does as well, and is simpler."
        case "inconclusive":
            possible = [
                words
                for holds, words in (
                    (high >= margin, "a gain that matters"),
                    (low <= 0 <= high, "no difference at all"),
                    (low <= -margin, "a loss that matters"),
                )
                if holds
            ]
            still = f"Still possible: {listed(possible)}" if possible else "Without an interval everything is possible"
            return f"{still}. These data justify neither using pretraining nor dropping it."
        case "stopped":
            return "A check failed, so nothing follows from the difference."


def multiplier(value: Multiplier | None, level: float, primary: Difference) -> str:
    """How many labels the prior saves, only as far as the observed budgets, its interval and that of the difference show."""
    if value is None or value.estimate is None:
        return "How many labels the prior saves can’t be read from these curves."
    beyond = ("at least " if value.estimate > 1 else "at most ") if "estimate" in value.censored else ""
    estimate = f"{beyond}{times(value.estimate)}"
    if value.low is None or value.high is None:
        return f"How many labels the prior saves can’t be told: an interval can’t be given (estimate {estimate})."
    low, high = times(value.low), times(value.high)
    match "low" in value.censored, "high" in value.censored:
        case True, True:
            interval = "reaches beyond what the budgets can show on either side"
            return f"How many labels the prior saves can’t be told: the {percent(level)} interval {interval} (estimate {estimate})."
        case True, False:
            interval = f"from below what the budgets can show to {high}"
        case False, True:
            interval = f"from {low} to beyond what the budgets can show"
        case _:
            interval = f"{low} to {high}"
    if value.low <= 1 <= value.high:
        return (
            f"A saving of labels is not shown: the label multiplier may be 1× ({percent(level)} interval {interval}; "
            f"estimate {estimate})."
        )
    if primary.low <= 0 <= primary.high:
        return (
            f"A saving of labels is not shown, since the difference is not: the label multiplier would be {estimate} "
            f"({percent(level)} interval {interval}), which weighs the budgets by their distances."
        )
    need = f"a random start needs {estimate[:-1]} times as many labelled patients to do as well"
    return f"Label multiplier {estimate} ({percent(level)} interval {interval}): {need}."


def by_site(sites: Sites | None, level: float) -> str:
    """The difference at each site and at the worst of them; "" with fewer than two sites."""
    if sites is None:
        return ""
    told = [
        f"{row.site} {signed(row.delta)} ({signed(row.low)} to {signed(row.high)}, {_patients(row.patients)})"
        if math.isfinite(row.low)
        else f"{row.site} without an interval ({_patients(row.patients)})"
        for row in sites.rows
    ]
    how = "each tested by models without a label of it" if sites.held_out else "all sites lent labels"
    said = f"Difference by site ({how}), {percent(level)} intervals: {'; '.join(told)}."
    return f"{said} {worst_site(sites, level)}".strip()


def _patients(number: int) -> str:
    return f"{count(number)} patient{'s' if number != 1 else ''}"


def worst_site(sites: Sites, level: float) -> str:
    """What can be said of the site that fares worst; "" where it can't be told."""
    worst = sites.worst
    if worst is None:
        return ""
    span = f"{percent(level)} interval {signed(worst.low)} to {signed(worst.high)}"
    return f"At the worst of {worst.sites} sites the difference is {signed(worst.delta)} ({worst.site}; {span} for whichever is worst)."


def banners(study: Study) -> list[tuple[str, str]]:
    """(title, sentence) of what a reader must know before the verdict."""
    found: list[tuple[str, str]] = []
    if study.simulated:
        found.append(("Simulated cohort", "The patients are invented. Nothing here is a finding about real people."))
    if study.quick:
        found.append(
            ("Quick — not for claims", "A try-out with too few patients, draws or epochs, to see that it works.")
        )
    if study.scope == "transductive":
        seen = "The prior has seen the images of the tested patients, so scores may be better than on new patients."
        found.append(("Transductive prior", seen))
    return found


def residual_risk(facts: Deidentification) -> list[str]:
    """What de-identification does not promise, no more and no less (Schwarz 2021, Wachinger 2015)."""
    sentences = [
        "The files are de-identified, which is not the same as anonymous: treat them as pseudonymised personal data, "
        "share them under an agreement, and keep the key and the private folder apart from them."
    ]
    if facts.faces_removed:
        sentences.append(
            "Removing a face lowers the risk and does not end it. After comparable tools 28 to 38 % of heads could "
            "still be matched to a photograph (Schwarz et al., NeuroImage 2021); ears and skull stay as they are, and "
            "methods exist that rebuild part of a removed face (Abramian & Eklund 2019)."
        )
    if facts.faces_kept:
        sentences.append(
            f"In {count(facts.faces_kept)} scans nothing was removed, because the study says so or no face was to be "
            "expected; where a head is intact, its surface can be rendered and recognised."
        )
    sentences.append(
        "Whoever holds another scan of the same person can recognise that person by the shape of the brain alone "
        "(over 99 % in Wachinger et al. 2015). No tool for headers or faces changes that."
    )
    return sentences
