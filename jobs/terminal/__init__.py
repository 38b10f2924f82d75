"""What all commands print on, whatever the terminal and its encoding are."""
