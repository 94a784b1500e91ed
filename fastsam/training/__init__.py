"""Better weights: annotate, train, mix, calibrate."""
