"""What leaves: a GLB file, the apps' character file, previews and the sheet of the steps."""
