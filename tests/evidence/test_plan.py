"""The frozen plan."""

from scanprior.evidence.plan import deviations, plan_digest, plan_of

CONFIG = {
    part: {"a": 1, "b": [1, 2]}
    for part in ("study", "seed", "task", "arms", "evaluation", "prior", "patches", "prepare")
}


def test_the_hash_does_not_depend_on_the_order_of_keys():
    plan = plan_of({**CONFIG, "cohort": "not part of it"}, "code")
    assert plan_digest(plan) == plan_digest(dict(reversed(plan.items()))) and "cohort" not in plan
    assert plan_digest(plan) != plan_digest(plan_of(CONFIG, "other code"))


def test_every_change_is_one_sentence():
    plan = plan_of(CONFIG, "x")
    assert deviations(plan, plan) == []
    changed = {**plan, "evaluation": {"a": 2, "c": 3}}
    assert deviations(plan, changed) == [
        "evaluation.a was 1 and is 2", "evaluation.b was [1, 2] and is gone", "evaluation.c is 3 and was not planned",
    ]  # fmt: skip
