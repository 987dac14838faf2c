"""Token ids of our tokenizer folder according to transformers' CLIPTokenizer, for tests/tokenizer.test.ts.

python reference/tokenizer_golden.py > tests/golden/tokenizer.json
"""

import json
import shutil
import tempfile
from pathlib import Path

import tokenizers
import transformers

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assets/models/animals-32/tokenizer"
MAX_LENGTH = 16

animals = (ROOT / "assets/pictures/animals-32/animals.txt").read_text().split()
prompts = [f"a{'n' if animal[0] in 'aeiou' else ''} {animal}" for animal in animals] + [
    "a glossy cat on white",
    "a flat ant on blue",
    "A  Soft\tKANGAROO on Purple",
    "",
    "   ",
    "cat",
    "a cat, it's 12 cats!",
    "résumé naïve Ünïcode",
    "日本の猫",
    "🐱 cat 🐶",
    "a catdog",
    "o'clock don't we'll",
    "<|endoftext|> a cat",
    "a cat on white on white on white on white on white on white on white",
]


def ids_of(folder):
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    return tokenizer(prompts, padding="max_length", truncation=True, max_length=MAX_LENGTH)["input_ids"]


with tempfile.TemporaryDirectory() as bare:  # as Stable Diffusion's folders are: without tokenizer.json
    for name in ["vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"]:
        shutil.copy(FOLDER / name, bare)
    ids = ids_of(bare)
assert ids == ids_of(FOLDER), "tokenizer.json and vocab.json + merges.txt disagree"

provenance = {
    "made_by": "reference/tokenizer_golden.py",
    "tools": f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}",
    "why_trusted": "CLIPTokenizer is the reference reader of this format; it read our folder with and without tokenizer.json, with equal ids.",
}
cases = ",\n".join(json.dumps({"prompt": prompt, "ids": row}) for prompt, row in zip(prompts, ids, strict=True))
print(f'{{\n"provenance": {json.dumps(provenance, indent=1)},\n"maxLength": {MAX_LENGTH},\n"cases": [\n{cases}\n]\n}}')
