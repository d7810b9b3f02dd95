"""Calibration of a model: a temperature for its logits, a rejection threshold for its answers.

In: what a model answers to labelled pictures that it was not trained on
(`evaluate.collect_answers`), and perhaps to pictures of none of its classes (`measuring`). Out: a
`Calibration` (`temperature`) and a `Rejection` (`threshold`), for its card. Each figure is of
pictures that had no say in it (`halves`). Called by ``ghostkit calibrate``.
"""
