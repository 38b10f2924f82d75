"""Arguments, standard streams and consoles of all commands."""
