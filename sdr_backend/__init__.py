"""The radio role over real or software radios: front-end and radio drivers, waveform, and a receiver for UEs."""
