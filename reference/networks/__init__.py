"""The networks, one file each, and the layers that several of them share."""
