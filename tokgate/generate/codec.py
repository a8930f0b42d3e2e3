"""Text to token ids and back, by a model's tokenizer.json: what transformers' classes do besides is of no use here."""

from __future__ import annotations

import json
from pathlib import Path

TOKENIZER_FILE = "tokenizer.json"
_END = "eos_token_id"


class Codec:
    """The tokenizer of a folder, and the ids that end a text. Raises FileNotFoundError where there is none."""

    def __init__(self, folder: Path) -> None:
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {TOKENIZER_FILE}: name a folder that does, as transformers' save_pretrained makes it"
            )
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(path))
        self.stop_ids = _stop_ids(folder)

    @property
    def vocab_size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """With the special tokens that the model expects around a text."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Without special tokens."""
        return str(self._tokenizer.decode(ids))


def _stop_ids(folder: Path) -> tuple[int, ...]:
    """generation_config.json goes before config.json; either may name one id or several."""
    for name in ("generation_config.json", "config.json"):
        try:
            found = json.loads((folder / name).read_text("utf-8")).get(_END)
        except OSError:
            continue
        if found is not None:
            return tuple(found) if isinstance(found, list) else (int(found),)
    return ()
