"""Names, downloads and checkpoints: the trust boundary. Nothing from a file is executed."""
