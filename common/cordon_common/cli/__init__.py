"""The `cordon` command and the auditor's sub-commands."""
