"""Local quality control, one module per modality."""
