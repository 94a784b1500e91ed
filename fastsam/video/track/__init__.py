"""Identities over time: tracking everything, following what a prompt selected."""
