"""Measurements that print a table and say whether the lines were reached."""
