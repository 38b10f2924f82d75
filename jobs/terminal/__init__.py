"""Arguments, standard streams and consoles, as all commands use them."""
