"""What privacy costs in use: two sets of real hospitals, several budgets, both trust models."""
