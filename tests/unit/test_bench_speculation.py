"""When `tokgate bench serve` asks a server what it speculated, and where it tells."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tokgate.cli import main
from tokgate.serving import speculation
from tokgate.serving.load import LoadResult
from tokgate.serving.request import Target
from tokgate.serving.web import Web
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

COUNTERS = {"num_drafts": 1, "num_draft_tokens": 4, "num_accepted_tokens": 3}


@pytest.mark.parametrize("processes", [1, 2])
def test_it_counts_from_after_the_warm_up_and_tells_as_vllm_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], processes: int
) -> None:
    """The page below a base URL whose /v1 is not the server's root. The stub server has no such counters."""
    monkeypatch.setenv("USE_TORCH", "AUTO")
    monkeypatch.setenv("TRANSFORMERS_NO_ADVISORY_WARNINGS", "0")
    monkeypatch.setattr(LoadResult, "client_fault", lambda self: None)
    seen: list[tuple[str, int]] = []
    (tmp_path / "prompts").write_text("\n".join(json.dumps({"prompt": f"one two {number}"}) for number in range(6)))
    with running("--ttft-ms=1", "--itl-ms=0.2", "--served-model-name=m") as stub:

        def fetch(page: Target, web: Web, timeout_s: float) -> bytes:
            """Of a server that drafts 4 tokens for each request so far, of which 3 are accepted."""
            with urllib.request.urlopen(f"{stub.url}/truth") as truth:
                seen.append((page.url, len(json.load(truth)["requests"])))
            rows = (f"vllm:spec_decode_{name}_total {each * seen[-1][1]}\n" for name, each in COUNTERS.items())
            return "".join(rows).encode()

        monkeypatch.setattr(speculation, "fetch", fetch)
        flags = (
            f"--base-url={stub.url}/v1", "--endpoint=/completions", "--model=m", "--dataset-name=custom",
            f"--dataset-path={tmp_path / 'prompts'}", "--skip-tokenizer-init", "--num-prompts=6",
            "--custom-output-len=5", "--ignore-eos", "--max-concurrency=2", f"--processes={processes}",
            "--num-warmups=3", "--save-result", f"--result-dir={tmp_path}", "--result-filename=result.json",
        )  # fmt: skip
        assert main(["bench", "serve", *flags]) == 0
        assert seen == [(f"{stub.url}/metrics", 3), (f"{stub.url}/metrics", 9)]
    found = json.loads((tmp_path / "result.json").read_text())
    assert (found["spec_decode_num_drafts"], found["spec_decode_acceptance_rate"]) == (6, 75.0)
    assert found["spec_decode_per_position_acceptance_rates"] == []
    assert f"{'Acceptance length:':<40} 4.00" in capsys.readouterr().out
