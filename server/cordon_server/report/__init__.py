"""The study report: model (what is true), view (what is shown), renderer (one HTML file)."""
