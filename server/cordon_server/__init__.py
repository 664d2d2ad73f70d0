"""The coordinator's side: campaigns, gate, aggregation, reports."""
