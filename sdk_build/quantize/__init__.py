"""Quantisation: recipes as data, calibration, the search for mixed precision, and what was measured.

==================  ====================================================================================
recipes             the named precisions, and what each toolchain makes of them
calibration         pictures or depth maps that set the ranges of activations; never evaluation data
pt2e, tflite, mlpackage  one file per toolchain that rewrites a network or an artifact
sensitivity         how much each part of a network loses by 8 bits, in torch
search              which parts go back to float until the card's budget holds
measured            ``models/<name>/quantization.json``: ranges, accuracy per artifact, choices
sizes               bytes of what was measured anew, without data
==================  ====================================================================================
"""
