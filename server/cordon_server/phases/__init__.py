"""The phases of a campaign: each asks the sites, decides, and commits one step at a time."""
