"""Image files, arrays and video containers in, frames out; and pictures of results."""
