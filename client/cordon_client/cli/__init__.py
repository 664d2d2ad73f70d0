"""The hospital's sub-commands: `cordon site …`."""
