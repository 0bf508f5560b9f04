"""Upgrades, drains and stops: what replaces the pods, and what keeps them running."""

from typing import Any, Final

import pytest

from tests.helm.chart import (
    MINIMAL,
    MINIMAL_SQLITE,
    Values,
    manifests,
    merged,
    of_kind,
    only,
    refusal,
    workload,
)

BLOCKING: Final[list[tuple[int, Any]]] = [
    (2, 2),
    (2, 3),
    (2, "51%"),
    (3, "67%"),
    (3, "99%"),
    (10, "91%"),
    (1, 1),
    (1, "1%"),
]
ALLOWING: Final[list[tuple[int, Any]]] = [(2, 1), (2, "50%"), (3, 2), (3, "66%"), (10, "90%")]


def budget(replicas: int, **values: Any) -> Values:
    """Values with this many replicas and this budget for disruptions."""
    return merged(MINIMAL, {"replicas": replicas, "podDisruptionBudget": values})


@pytest.mark.parametrize(("replicas", "available"), BLOCKING)
def test_a_budget_that_blocks_every_drain_is_refused(replicas: int, available: Any) -> None:
    message = refusal(budget(replicas, minAvailable=available))
    assert f"podDisruptionBudget.minAvailable: {available} of {replicas} replicas" in message


@pytest.mark.parametrize(("replicas", "available"), ALLOWING)
def test_a_minimum_of_available_replicas_replaces_the_maximum_of_unavailable_ones(
    replicas: int, available: Any
) -> None:
    found = manifests(budget(replicas, minAvailable=available))
    spec = only(found, "PodDisruptionBudget")["spec"]
    assert spec["minAvailable"] == available
    assert "maxUnavailable" not in spec


def test_corrected_values_replace_a_pod_of_the_stateful_set_that_is_not_ready() -> None:
    """With the default, `OrderedReady`, Kubernetes waits for the old pod forever."""
    assert workload(manifests(MINIMAL_SQLITE))["spec"]["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("values", [MINIMAL_SQLITE, merged(MINIMAL, {"replicas": 1})])
def test_one_replica_has_no_budget(values: Values) -> None:
    assert of_kind(manifests(values), "PodDisruptionBudget") == []


def test_with_autoscaling_the_smallest_number_of_replicas_counts() -> None:
    scaled = {"autoscaling": {"kind": "hpa", "minReplicas": 2}, "replicas": 9}
    wrong = merged(MINIMAL, scaled, {"podDisruptionBudget": {"minAvailable": 2}})
    assert "podDisruptionBudget.minAvailable: 2 of 2 replicas" in refusal(wrong)
    alone = merged(MINIMAL, scaled, {"autoscaling": {"minReplicas": 1}})
    assert of_kind(manifests(alone), "PodDisruptionBudget") == []


@pytest.mark.parametrize("values", [MINIMAL, MINIMAL_SQLITE])
def test_zero_replicas_must_be_allowed(values: Values) -> None:
    none = merged(values, {"replicas": 0})
    assert "replicas: with 0, no worker" in refusal(none)
    assert workload(manifests(merged(none, {"allowZeroReplicas": True})))["spec"]["replicas"] == 0
    if values is MINIMAL:
        assert workload(manifests(merged(none, {"autoscaling": {"kind": "hpa"}})))


def test_by_default_a_new_pod_is_ready_before_an_old_one_stops() -> None:
    strategy = workload(manifests(MINIMAL))["spec"]["strategy"]
    assert strategy == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("values", "field", "strategy"),
    [
        (MINIMAL, "strategy", {"type": "Recreate"}),
        (MINIMAL, "strategy", {"rollingUpdate": {"maxUnavailable": "50%"}}),
        (MINIMAL_SQLITE, "updateStrategy", {"type": "OnDelete"}),
        (MINIMAL_SQLITE, "updateStrategy", {"rollingUpdate": {"partition": 1}}),
    ],
)
def test_the_update_strategy_is_passed_on_whole(
    values: Values, field: str, strategy: Values
) -> None:
    found = workload(manifests(merged(values, {"updateStrategy": strategy})))
    assert found["spec"][field] == strategy


@pytest.mark.parametrize(
    ("values", "strategy", "words"),
    [
        (MINIMAL, {"type": "OnDelete"}, "updateStrategy.type: must be RollingUpdate or Recreate"),
        (MINIMAL_SQLITE, {"type": "Recreate"}, "updateStrategy.type: must be RollingUpdate or OnD"),
        (
            MINIMAL,
            {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
            "updateStrategy.rollingUpdate: remove it",
        ),
    ],
)
def test_an_update_strategy_of_another_workload_is_refused(
    values: Values, strategy: Values, words: str
) -> None:
    assert words in refusal(merged(values, {"updateStrategy": strategy}))
