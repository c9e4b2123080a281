"""The viewer: explore the folder of a run, however long that was."""
