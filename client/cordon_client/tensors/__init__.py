"""From clean records to the model's input arrays; numpy only."""
