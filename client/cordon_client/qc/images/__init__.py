"""Quality control of images: folders of PNG, and NPZ arrays."""
