"""What the models are: PyTorch networks with their pre- and postprocessing. Knows no file format and no device."""

import os

# torch's threads wait by spinning unless told otherwise. Beside other work on the machine each of them then takes a
# core from whoever has something to do: a network of 30 ms took 1.7 s. Read when torch is imported; a value of yours
# stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
