"""Asks and tells: argv, files, environment, exit codes. The composition root."""
