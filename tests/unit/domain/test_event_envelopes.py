"""Ids of events: the same fact has the same one, for ever."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.event_envelopes import EVENT_ID_NAMESPACE, event_id_of

TEXT = st.text(alphabet=st.characters(codec="utf-8"))


@given(TEXT)
def test_an_event_id_is_the_uuid_5_of_its_fact(fact: str) -> None:
    assert event_id_of(fact) == str(uuid.uuid5(EVENT_ID_NAMESPACE, fact))


def test_event_ids_never_change() -> None:
    assert event_id_of("outcome/start-1") == "45c3a6eb-e8cd-50e3-bf14-8c4e33404e7f"
    assert event_id_of("recording/r-1/1") == "8f8250d9-1e0e-5c2e-80e6-2ab75e5cbd05"
