"""Privacy facts (events) and what they cost (accounting, filter, planner)."""
