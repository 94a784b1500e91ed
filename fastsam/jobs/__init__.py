"""Long runs over many images or a whole video, which can be interrupted and resumed."""
