"""What both tabs use: sessions, the canvas, form controls."""
