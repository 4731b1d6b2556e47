"""Tools for people who work on DePIN Desktop; nothing here is part of what is installed."""
