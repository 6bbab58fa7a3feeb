"""The parts of `sessionctl service`: definitions, managers, and what else may be running."""
