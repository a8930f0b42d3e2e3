"""What to do about requests that failed, by what the server said of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

# vLLM: "Token id 136509 is out of vocabulary". SGLang: "The input_ids [1, 2, ...] contains values greater than the
# vocab size (32000)."; of a long prompt no more is kept of that than the list's beginning.
_VOCABULARY = re.compile(r"\bvocab|\binput_ids \[", re.IGNORECASE)
_LOG = "see the server's log"
# Only a server elsewhere has another vocabulary: one that is started here serves --perf-model.
_OTHER_VOCABULARY = (
    f"{_LOG}; prompts are token ids of --perf-model's vocabulary, and the server's is another: name the model that it "
    "serves, --perf-model=DIR or --perf-model=ORG/NAME@REVISION"
)


def advice(details: Iterable[str]) -> str:
    """`details`: what was said of each kind of failure, if anything."""
    return _OTHER_VOCABULARY if any(map(_VOCABULARY.search, details)) else _LOG
