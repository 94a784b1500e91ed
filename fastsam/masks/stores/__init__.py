"""Where the pixels of a mask set come from: grid logits, crops, joined tiles."""
