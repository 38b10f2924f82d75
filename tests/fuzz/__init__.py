"""Seeded mutations of every file that is read: each is accepted and usable, or refused by its name."""
