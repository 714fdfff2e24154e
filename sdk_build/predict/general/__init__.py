"""How results of the tasks for any network are shown."""
