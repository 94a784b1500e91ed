"""Frames from files, cameras, streams, folders and iterators, read ahead."""
