"""Quantisation: recipes as data, calibration, the search for mixed precision, and what was measured.

==================  ====================================================================================
measure             every precision of one model on every runtime, and what the result is called
sensitivity         how much each part of a network loses by 8 bits, in torch
search              which parts go back to float until the accuracy budget holds
sizes               bytes of what was measured anew, without data
table               what was measured, for people
==================  ====================================================================================
"""
