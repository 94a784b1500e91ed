"""Teach the text tower where a sentence-embedding model places sentences.

python -m recipes.text_model.distil_text --teacher MINILM_FOLDER --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recipes.text_model import phrases, tower
from recipes.text_model.sources import category_names, train_captions


def main() -> None:
    """Embed the corpus with the teacher, then fit the tower to it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True, type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data sources")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=384)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    texts, targets = teach(args.teacher, args.data, args.out / "teacher.npz")
    fit(texts, torch.from_numpy(targets), args)


def teach(teacher: Path, data: Path, cache: Path) -> tuple[list[str], np.ndarray]:
    """Return the corpus and (N, 256) unit vectors of it: the teacher's, on their first principal axes."""
    texts = phrases.corpus(train_captions(data), category_names(data))
    if cache.is_file():
        known = np.load(cache, allow_pickle=False)
        place = {str(text): row for row, text in enumerate(known["texts"])}
        if all(text in place for text in texts):
            return texts, known["targets"][[place[text] for text in texts]]
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(teacher), device="cpu")
    vectors = model.encode(texts, batch_size=256, normalize_embeddings=True, show_progress_bar=False)
    _, _, axes = np.linalg.svd(vectors.T @ vectors)
    kept = axes[: tower.CONFIG["model_cfg"]["embed_dim"]]
    share = float(np.square(vectors @ kept.T).sum() / len(vectors))
    print(f"{len(texts)} texts; the axes that are kept hold {share:.3f} of the teacher's vectors", flush=True)
    targets = (vectors @ kept.T).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    np.savez(cache, texts=np.array(texts), targets=targets, axes=kept.astype(np.float32))
    return texts, targets


def start_tokens(model: torch.nn.Module, teacher: Path) -> None:
    """Start the token table from the teacher's: the mean of the pieces of each token, on principal axes."""
    from open_clip.tokenizer import SimpleTokenizer
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    pieces = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    pieces.no_padding()
    table = load_file(str(teacher / "model.safetensors"))["embeddings.word_embeddings.weight"]
    table = table - table.mean(dim=0)
    words = SimpleTokenizer().decoder
    rows = torch.zeros(len(words), table.shape[1])
    for token, word in words.items():
        plain = word.removesuffix("</w>")
        ids = pieces.encode(plain if word.endswith("</w>") else "##" + plain, add_special_tokens=False).ids
        if ids:
            rows[token] = table[ids].mean(dim=0)
    _, _, axes = torch.linalg.svd(rows, full_matrices=False)
    width = model.token_embedding.weight.shape[1]
    start = rows @ axes[:width].T
    with torch.no_grad():
        model.token_embedding.weight.copy_(start / start.std() * 0.05)


def fit(texts: list[str], targets: Tensor, args: argparse.Namespace) -> None:
    """Fit vectors and the similarities among a batch; save after each epoch."""
    from open_clip.tokenizer import SimpleTokenizer

    torch.manual_seed(0)
    model = tower.build()
    start_tokens(model, args.teacher)
    tokens = SimpleTokenizer(context_length=tower.CONTEXT)(texts)
    lengths = tokens.argmax(dim=-1)
    own = [p for name, p in model.named_parameters() if not name.startswith(("visual", "logit"))]
    optimiser = torch.optim.AdamW(own, lr=1e-3, weight_decay=0.01)
    rng = random.Random(0)
    held = set(rng.sample(range(len(texts)), 2000))
    rest = [i for i in range(len(texts)) if i not in held]
    steps = args.epochs * (len(rest) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps + 1, pct_start=0.05)
    step, begun = 0, time.time()
    for epoch in range(args.epochs):
        model.train()
        # batches of like length waste no padding; jitter keeps them mixed
        order = sorted(rest, key=lambda i: int(lengths[i]) + rng.random() * 3)
        batches = [order[k : k + args.batch] for k in range(0, len(order) - args.batch + 1, args.batch)]
        rng.shuffle(batches)
        for batch in batches:
            loss = _loss(model, tokens[batch], targets[batch])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own, 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            if step % 50 == 0:
                print(
                    f"epoch {epoch} step {step}/{steps} loss {loss.item():.4f} {time.time() - begun:.0f}s",
                    flush=True,
                )
        print(
            f"epoch {epoch}: held-out cosine {_check(model, tokens, targets, sorted(held)):.4f}", flush=True
        )
        tower.save(model, args.out / "tower")


def _loss(model: torch.nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
    found = torch.nn.functional.normalize(tower.encode_text(model, tokens), dim=-1)
    cosine = 1 - (found * targets).sum(dim=-1).mean()
    wanted = (20 * targets @ targets.T).log_softmax(dim=-1)
    given = (20 * found @ targets.T).log_softmax(dim=-1)
    return cosine + torch.nn.functional.kl_div(given, wanted, log_target=True, reduction="batchmean")


@torch.no_grad()
def _check(model: torch.nn.Module, tokens: Tensor, targets: Tensor, rows: list[int]) -> float:
    model.eval()
    found = torch.nn.functional.normalize(tower.encode_text(model, tokens[rows]), dim=-1)
    return float((found * targets[rows]).sum(dim=-1).mean())


if __name__ == "__main__":
    main()
