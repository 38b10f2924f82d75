"""How the demo's model was trained and is measured."""
