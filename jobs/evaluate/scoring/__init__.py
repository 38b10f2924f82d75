"""From predictions beside their gold to figures, one file for each kind of example."""
