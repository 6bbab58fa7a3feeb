"""The door for people and scripts: `sessionctl`. Verbs ask the library, `render` prints what they answer."""
