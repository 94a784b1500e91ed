"""How the weights in weights/ were made; needs more packages than fastsam, see the model cards."""
