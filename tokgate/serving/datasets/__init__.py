"""What is sent to a server: prompts and the output lengths asked for, as `vllm bench serve` makes them.

    sample.py      a prompt and its lengths           tokenizer.py  transformers' tokenizers, loaded when needed
    random_text.py  --dataset-name random             prefix_repetition.py  the same prefixes again and again
    sharegpt.py    first turns of conversations       custom.py     prompts from a JSONL file

With the same tokenizer and the same seed each gives the prompts that `vllm bench serve` gives, so that the two tools
can be held against each other on the same work.
"""
