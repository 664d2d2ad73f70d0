"""Quality control of protein tables: search engines, mzTab, and matrices of intensities."""
